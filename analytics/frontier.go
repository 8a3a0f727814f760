package analytics

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse"
)

// frontier is the position that the store has come to. All streams look at it together, so
// that it is asked for once in an interval, however many there are.
type frontier struct {
	mu    sync.Mutex
	at    time.Time
	reach position
	// sights are of the last positions that there were, oldest first.
	sights []sight
}

// sight says where the rows are that are not before a position: in the blocks after the
// given one of each server, by its number as the server knows it. Positions are in the order
// in which rows were stored only within a slice, blocks in that of the whole table; so they
// say which parts of it need not be read, and nothing else.
type sight struct {
	reach  position
	blocks []int64
}

// sightsMax is how many positions a client may be behind and still have only what is new
// to it be read.
const sightsMax = 256

// sightAge is how long a sight is good for while nobody looks. Until then the store is not
// another one, restored from a backup, without a look that fails or goes back.
const sightAge = time.Minute

// position is the frontier as it was no longer than maxAge ago.
func (f *frontier) position(ctx context.Context, s *Server, maxAge time.Duration) (position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := time.Since(f.at)
	if age < maxAge {
		return f.reach, nil
	}
	rows, _, err := clickhouse.Select[struct {
		Slice  uint16 `ch:"slice"`
		Epoch  uint64 `ch:"at_epoch"`
		Offset int64  `ch:"at_offset"`
	}](ctx, s.store, s.questions.positions)
	if err != nil {
		f.sights = nil
		return nil, fmt.Errorf("reading how far the ledger has come: %w", err)
	}
	var reach position
	for _, row := range rows {
		for len(reach) <= int(row.Slice) {
			reach = append(reach, mark{})
		}
		reach[row.Slice] = mark{row.Epoch, max(0, row.Offset)}
	}
	if age > sightAge || reach.reaches(f.reach) {
		f.sights = nil
	}
	if len(f.sights) == 0 || f.reach.reaches(reach) {
		f.see(ctx, s, reach)
	}
	f.at, f.reach = time.Now(), reach
	return reach, nil
}

// see finds the blocks of a position. Without them everything is read, which is right too.
func (f *frontier) see(ctx context.Context, s *Server, reach position) {
	if !s.store.NumbersBlocks() {
		return
	}
	blocks := f.blocks(reach)
	rows, stats, err := clickhouse.Select[struct {
		Shard      uint32 `ch:"shard"`
		Newest     int64  `ch:"newest"`
		Ahead      uint64 `ch:"ahead"`
		FirstAhead int64  `ch:"first_ahead"`
	}](ctx, s.store, s.questions.streamBlocks, append(reach.bind("to", len(reach)), clickhouse.Named{Name: "blocks", Value: blocks})...)
	s.metrics.streamRowsRead.Add(float64(stats.RowsRead))
	if err != nil {
		s.log.Warn("reading where new rows are; streams read all of their workspace meanwhile", zap.Error(err))
		f.sights = nil
		return
	}
	blocks = slices.Clone(blocks)
	for _, row := range rows {
		for len(blocks) <= int(row.Shard) {
			blocks = append(blocks, 0)
		}
		known := row.Newest
		if row.Ahead > 0 {
			known = min(known, row.FirstAhead-1)
		}
		blocks[row.Shard] = max(blocks[row.Shard], known)
	}
	f.sights = append(f.sights, sight{reach, blocks})
	f.sights = f.sights[max(0, len(f.sights)-sightsMax):]
}

// blocks are those after which the rows are that are not before a position; none are known
// to be where the position is from before all sights.
func (f *frontier) blocks(p position) []int64 {
	for _, seen := range slices.Backward(f.sights) {
		if !p.reaches(seen.reach) {
			return seen.blocks
		}
	}
	return []int64{}
}

// blocksOf is blocks, for whoever does not hold the frontier.
func (f *frontier) blocksOf(p position) []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocks(p)
}
