// Package embedded runs a persistent Kafka-protocol broker inside the process:
// franz-go's kfake with a data folder. It is spoken to over TCP like any
// other, by the same clients.
//
// kfake is a broker for tests, and this package is what makes it safe to keep
// data in (each point was measured, see the tests):
//   - one process per folder: kfake has no lock, and two would hand out the
//     same offsets;
//   - acknowledgements that survive a power cut: kfake can sync every write
//     to every partition, which is slow; instead answers wait for a sync that
//     many share (see groupCommit and syncedConn);
//   - no retention: a partition that retention empties starts at offset 0
//     again after a restart. Trim deletes what was consumed and always leaves
//     the last record;
//   - compaction that survives a crash (see compact): kfake deletes the old
//     files before it writes the new ones;
//   - committed offsets never expire.
//
// Transactions lose data across a crash of the broker: do not use them here.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
)

var (
	// ErrFolderInUse means that another revstream works in the same folder.
	ErrFolderInUse = errors.New("another revstream is using this folder")
	// ErrPortInUse means that the port is taken.
	ErrPortInUse = errors.New("the port is already in use")
)

// Broker is a running broker. It is safe for concurrent use.
type Broker struct {
	cfg     Config
	log     *zap.Logger
	metrics *metrics
	lock    *flock.Flock
	cluster *kfake.Cluster
	words   *clusterLog
	addr    string

	syncer  *diskSyncer
	commits *groupCommit

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{} // closed when Close has done its work
	quit      chan struct{}
	loops     sync.WaitGroup
	died      chan error
}

// Start opens the broker in cfg.Dir, as it was left, and listens. It gives
// ErrFolderInUse or ErrPortInUse where that is the reason. reg may be nil.
func Start(cfg Config, log *zap.Logger, reg prometheus.Registerer) (*Broker, error) {
	return start(cfg, log, reg, nil)
}

// start is Start with something around the sync, for tests.
func start(cfg Config, log *zap.Logger, reg prometheus.Registerer, around func(b *Broker, sync func() error) error) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of the embedded broker: %w", err)
	}
	metrics, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.logDir(), 0o700); err != nil {
		return nil, fmt.Errorf("creating the broker's folder: %w", err)
	}
	lock := flock.New(filepath.Join(cfg.Dir, "revstream.lock"))
	if held, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("locking %s: %w", cfg.Dir, err)
	} else if !held {
		return nil, fmt.Errorf("%s: %w", cfg.Dir, ErrFolderInUse)
	}
	b := &Broker{
		cfg: cfg, log: log, metrics: metrics, lock: lock,
		words:  &clusterLog{log: log},
		closed: make(chan struct{}),
		quit:   make(chan struct{}),
		died:   make(chan error, 1),
	}
	if err := b.open(around); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	b.loops.Go(b.maintain)
	log.Info("embedded broker is up", zap.String("addr", b.addr), zap.String("dir", cfg.Dir), zap.Bool("durable", cfg.Durable))
	return b, nil
}

func (c Config) logDir() string { return filepath.Join(c.Dir, "log") }

// open starts kfake under the lock.
func (b *Broker) open(around func(*Broker, func() error) error) error {
	if err := recoverCompaction(b.cfg); err != nil {
		return err
	}
	syncer, err := newDiskSyncer(b.cfg.Dir)
	if err != nil {
		return err
	}
	b.syncer = syncer
	sync := syncer.Sync
	switch {
	case around != nil:
		sync = func() error { return around(b, syncer.Sync) }
	case !b.cfg.Durable:
		// Answers still pass the group commit, which compaction holds up.
		sync = func() error { return nil }
	}
	b.commits = newGroupCommit(sync, func(d time.Duration) { b.metrics.syncSeconds.Observe(d.Seconds()) }, b.fail)
	b.cluster, err = kfake.NewCluster(b.options()...)
	if err == nil {
		return nil
	}
	b.commits.stop()
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: %w", ErrPortInUse, err)
	}
	return errors.Join(fmt.Errorf("opening the embedded broker: %w", err), syncer.Close())
}

// never is a duration, in the unit of the name, that does not pass: ten years.
const (
	neverMinutes      = 10 * 365 * 24 * 60
	neverMilliseconds = neverMinutes * 60 * 1000
)

func (b *Broker) options() []kfake.Opt {
	return []kfake.Opt{
		kfake.Ports(0), // one broker; the port is in listen
		kfake.ListenFn(b.listen),
		kfake.ClusterID("revstream"),
		kfake.DataDir(b.cfg.logDir()),
		kfake.DefaultNumPartitions(int(b.cfg.Partitions)),
		kfake.WithLogger(b.words),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":         strconv.FormatInt(b.cfg.SegmentBytes, 10),
			"log.retention.ms":          "-1",
			"log.retention.bytes":       "-1",
			"offsets.retention.minutes": strconv.Itoa(neverMinutes),
			// How soon a silent consumer is thrown out is for it to say.
			"group.min.session.timeout.ms": "1000",
			// kfake's own compaction is not safe, see compact.
			"log.cleaner.backoff.ms": strconv.Itoa(neverMilliseconds),
		}),
	}
}

func (b *Broker) listen(network, _ string) (net.Listener, error) {
	listener, err := net.Listen(network, b.cfg.Addr) //nolint:noctx // binding a loopback port does not wait
	if err != nil {
		return nil, err
	}
	b.addr = listener.Addr().String()
	return &syncedListener{Listener: listener, commits: b.commits, effects: knownEffects()}, nil
}

// fail is called once, when nothing can be acknowledged any more.
func (b *Broker) fail(err error) {
	b.metrics.failures.Inc()
	b.died <- fmt.Errorf("the embedded broker stopped acknowledging: %w", err)
}

// Addr returns host:port, with the real port.
func (b *Broker) Addr() string { return b.addr }

// Wait returns a channel that yields one error if the broker can no longer
// make anything durable: the disk has failed. It then acknowledges nothing;
// the way out is to end the process and start again from what is on disk.
// The channel is closed by Close. One reader should own it.
func (b *Broker) Wait() <-chan error { return b.died }

// Close stops listening, writes what kfake keeps in memory (with it, a
// restart knows which records its producers have sent), syncs, and frees the
// folder. Close the clients first: what is in flight gets no answer. It
// returns early, with the context's error, if that takes too long.
func (b *Broker) Close(ctx context.Context) error {
	b.closeOnce.Do(func() {
		go func() {
			defer close(b.closed)
			b.closeErr = b.shutDown()
		}()
	})
	select {
	case <-b.closed:
		return b.closeErr
	case <-ctx.Done():
		return fmt.Errorf("closing the embedded broker: %w", ctx.Err())
	}
}

func (b *Broker) shutDown() error {
	close(b.quit)
	b.loops.Wait()
	b.cluster.Close()
	b.commits.stop()
	errs := []error{b.words.persistError()}
	if b.cfg.Durable {
		errs = append(errs, b.syncer.Sync())
	}
	errs = append(errs, b.syncer.Close(), b.lock.Unlock())
	close(b.died)
	return errors.Join(errs...)
}

// clusterLog passes kfake's warnings on, and remembers the two kinds that
// kfake only logs and that must not be overlooked.
type clusterLog struct {
	log *zap.Logger

	mu      sync.Mutex
	persist error // the state was not saved at Close
	rebuild error // compaction has lost a file
}

// Logf implements kfake.Logger.
func (c *clusterLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError, kfake.LogLevelWarn:
	default:
		return // a line for each request
	}
	text := fmt.Sprintf(format, args...)
	c.log.Warn("embedded broker", zap.String("said", text))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case level == kfake.LogLevelError:
		c.persist = errors.Join(c.persist, errors.New(text))
	case strings.HasPrefix(format, "rebuildSegments"):
		c.rebuild = errors.Join(c.rebuild, errors.New(text))
	}
}

func (c *clusterLog) persistError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.persist
}

func (c *clusterLog) rebuildError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rebuild
}
