package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"revstream/ingest/revenue"
)

// Cluster is all the servers that revenue is kept on: one, or shards that each keep
// some of the slices. What concerns a slice is asked of its shard, a Store; what
// concerns all of them, of the Cluster. It is safe for concurrent use.
type Cluster struct {
	config  Config
	log     *zap.Logger
	shards  []*Store
	answers *Store

	// reached is when the Distributed tables were last seen to reach all shards.
	reached struct {
		sync.Mutex
		at time.Time
	}
}

// OpenCluster is Open for every server that the Config names. With shards their
// metrics carry the label shard.
func OpenCluster(ctx context.Context, config Config, log *zap.Logger, registerer prometheus.Registerer) (*Cluster, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster{config: config, log: log}
	if len(config.Shards) == 0 {
		single := config
		if config.Engine == EngineReplicated {
			single.Addresses = config.Addresses[:1]
		}
		store, err := Open(ctx, single, log, registerer)
		if err != nil {
			return nil, err
		}
		c.shards, c.answers = []*Store{store}, store
		return c, nil
	}
	labelled := func(shard string) prometheus.Registerer {
		return prometheus.WrapRegistererWith(prometheus.Labels{"shard": shard}, registerer)
	}
	whole := config
	whole.Shards, whole.Cluster = nil, ""
	for i, replicas := range config.replicas() {
		own := whole
		own.Database, own.Addresses = config.partsDatabase(), replicas[:1]
		store, err := Open(ctx, own, log, labelled(strconv.Itoa(i+1)))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		store.place = place{i + 1, len(config.Shards)}
		c.shards = append(c.shards, store)
		whole.Addresses = append(whole.Addresses, replicas[0])
	}
	answers, err := Open(ctx, whole, log, labelled("all"))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	answers.cluster = c
	c.answers = answers
	return c, nil
}

// replicas are the addresses of each shard, or of the single server.
func (c Config) replicas() [][]string {
	if len(c.Shards) == 0 {
		return [][]string{c.Addresses}
	}
	list := make([][]string, len(c.Shards))
	for i, shard := range c.Shards {
		list[i] = strings.Split(shard, "|")
	}
	return list
}

// partsDatabase is where a server keeps its own tables.
func (c Config) partsDatabase() string {
	if len(c.Shards) == 0 {
		return c.Database
	}
	return c.Database + "_shard"
}

// Shards are the servers that slices are written to; see ShardOf for which. There
// is one at least.
func (c *Cluster) Shards() []*Store { return c.shards }

// Answers is for questions about all revenue: Select, Each and CompleteThrough. As
// long as any shard does not answer they fail with a MissingShardsError.
func (c *Cluster) Answers() *Store { return c.answers }

// NumbersBlocks reports whether the blocks of a table are numbered in the order in which
// their rows can be seen. Replicas give numbers out before that.
func (s *Store) NumbersBlocks() bool { return s.config.Engine != EngineReplicated }

// Close ends all connections.
func (c *Cluster) Close() error {
	var errs []error
	if len(c.config.Shards) > 0 && c.answers != nil {
		errs = append(errs, c.answers.Close())
	}
	for _, shard := range c.shards {
		errs = append(errs, shard.Close())
	}
	return errors.Join(errs...)
}

// Ping reports every server that does not answer.
func (c *Cluster) Ping(ctx context.Context) error {
	return c.onEach(func(shard *Store) error { return shard.Ping(ctx) })
}

// onEach does the same on all shards at once and joins what went wrong.
func (c *Cluster) onEach(do func(*Store) error) error {
	errs := make([]error, len(c.shards))
	var group sync.WaitGroup
	for i, shard := range c.shards {
		group.Go(func() {
			if errs[i] = do(shard); errs[i] != nil && !shard.place.alone() {
				errs[i] = fmt.Errorf("%v: %w", shard.place, errs[i])
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Migrate brings every server up to date, replicas too, gives shards their places,
// and makes the Distributed tables. ErrLayout if the servers are other shards than
// configured, or have the tables of a single server. It can be called again and by
// several processes at once.
func (c *Cluster) Migrate(ctx context.Context) error {
	for _, replicas := range c.config.replicas() {
		if c.config.Engine != EngineReplicated {
			continue
		}
		for _, address := range replicas[1:] {
			if err := c.migrateReplica(ctx, address); err != nil {
				return fmt.Errorf("replica %s: %w", address, err)
			}
		}
	}
	if err := c.onEach(func(shard *Store) error { return shard.Migrate(ctx) }); err != nil {
		return err
	}
	publish := func(shard *Store) error { return shard.PublishViews(ctx, c.config.Database) }
	if len(c.config.Shards) == 0 {
		return c.onEach(publish)
	}
	if err := c.onEach(func(shard *Store) error { return shard.claim(ctx) }); err != nil {
		return err
	}
	if err := c.onEach(func(shard *Store) error { return shard.distribute(ctx, c.config.Database, c.config.Cluster) }); err != nil {
		return err
	}
	if err := c.onEach(publish); err != nil {
		return err
	}
	return c.confirmReach(ctx)
}

func (c *Cluster) migrateReplica(ctx context.Context, address string) error {
	config := c.config
	config.Shards, config.Cluster = nil, ""
	config.Addresses, config.Database = []string{address}, c.config.partsDatabase()
	replica, err := Open(ctx, config, c.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return errors.Join(replica.Migrate(ctx), replica.Close())
}

// Check is Store.Check on all shards. ErrLayout if one has rows of a slice that is
// kept on another.
func (c *Cluster) Check(ctx context.Context) (Report, error) {
	reports := make([]Report, len(c.shards))
	err := c.onEach(func(shard *Store) error {
		report, err := shard.Check(ctx)
		reports[max(0, shard.place.shard-1)] = report
		return err
	})
	whole := Report{Cells: map[string]int64{}}
	for _, report := range reports {
		whole.Slices += report.Slices
		whole.Rows += report.Rows
		whole.Differences = append(whole.Differences, report.Differences...)
		for table, cells := range report.Cells {
			whole.Cells[table] += cells
		}
	}
	return whole, err
}

// Rebuild is Store.Rebuild on one shard after the other. What one shard reports is
// of its own slices.
func (c *Cluster) Rebuild(ctx context.Context, table string, onProgress func(RebuildProgress)) (Repair, error) {
	total := Repair{Cells: map[string]int64{}}
	for _, shard := range c.shards {
		repair, err := shard.Rebuild(ctx, table, onProgress)
		total.Cells[table] += repair.Cells[table]
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// CheckLedger is Store.CheckLedger on one shard after the other. What is reported on
// the way is of one shard.
func (c *Cluster) CheckLedger(ctx context.Context, onProgress func(AuditProgress)) (Report, error) {
	whole := Report{Cells: map[string]int64{}}
	for _, shard := range c.shards {
		report, err := shard.CheckLedger(ctx, onProgress)
		whole.Slices += report.Slices
		whole.Rows += report.Rows
		whole.Differences = append(whole.Differences, report.Differences...)
		if cells := report.Cells[TableLedger]; cells > 0 {
			whole.Cells[TableLedger] += cells
		}
		if err != nil {
			return whole, err
		}
	}
	return whole, nil
}

// RebuildLedger is Store.RebuildLedger on one shard after the other.
func (c *Cluster) RebuildLedger(ctx context.Context, onProgress func(RebuildProgress)) (Repair, error) {
	total := Repair{Cells: map[string]int64{}}
	for _, shard := range c.shards {
		repair, err := shard.RebuildLedger(ctx, onProgress)
		for table, cells := range repair.Cells {
			total.Cells[table] += cells
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// AcceptGap is Store.AcceptGap on the slice's shard.
func (c *Cluster) AcceptGap(ctx context.Context, gap LostRange) error {
	return c.shards[ShardOf(gap.Slice, len(c.shards))].AcceptGap(ctx, gap)
}

// Gaps is Store.Gaps of all shards.
func (c *Cluster) Gaps(ctx context.Context) ([]LostRange, error) {
	var gaps []LostRange
	for _, shard := range c.shards {
		more, err := shard.Gaps(ctx)
		if err != nil {
			return nil, err
		}
		gaps = append(gaps, more...)
	}
	return gaps, nil
}

// NextOffsets is Store.NextOffsets of slices on any shard.
func (c *Cluster) NextOffsets(ctx context.Context, topicID string, slices []int32) (map[int32]int64, error) {
	next := make(map[int32]int64, len(slices))
	for _, shard := range c.shards {
		var own []int32
		for _, slice := range slices {
			if shard.place.keeps(slice) {
				own = append(own, slice)
			}
		}
		stored, err := shard.NextOffsets(ctx, topicID, own)
		if err != nil {
			return nil, err
		}
		for slice, offset := range stored {
			next[slice] = offset
		}
	}
	return next, nil
}

// ReadGroups is Store.ReadGroups of groups on any shard, for those who do not know
// their slices: each shard is asked for all.
func (c *Cluster) ReadGroups(ctx context.Context, keys []revenue.GroupKey) (map[revenue.GroupKey]GroupState, error) {
	states := make(map[revenue.GroupKey]GroupState, len(keys))
	for _, shard := range c.shards {
		found, err := shard.ReadGroups(ctx, keys)
		if err != nil {
			return nil, err
		}
		maps.Copy(states, found)
	}
	return states, nil
}

// InsertRates is Store.InsertRates on every shard: whichever answers has all rates.
func (c *Cluster) InsertRates(ctx context.Context, rates []Rate) error {
	var group errgroup.Group
	for _, shard := range c.shards {
		group.Go(func() error { return shard.InsertRates(ctx, rates) })
	}
	return group.Wait()
}
