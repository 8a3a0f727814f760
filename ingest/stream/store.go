package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// store is the local copy of a table: Pebble with the values under "d"+key, each
// behind the time it was written, and under "m" which topic it is of and how far
// it has been read, in one batch with the data.
//
// There is no write-ahead log: a batch is in one memtable whole, memtables reach
// disk whole and in order, so after a crash the store is what it was some batches
// ago, offset included, and reads on from there.
type store struct {
	path    string
	lock    *pebble.Lock
	metrics *tableMetrics
	cache   *lru.Cache[string, []byte]

	openMu sync.RWMutex // held by whoever uses db
	db     *pebble.DB   // nil once closed

	// changes counts the batches stored, so that a reader which began before a
	// change does not put what it read into the cache after it.
	cacheMu sync.Mutex
	changes uint64

	markMu sync.Mutex
	mark   mark
}

const (
	dataPrefix = 'd'
	metaKey    = "m"
	// stampBytes is the time of writing, in microseconds, before each value.
	stampBytes = 8
	// cachedValueBytesMax keeps large values out of the cache, whose entries are
	// counted and not weighed.
	cachedValueBytesMax = 4 << 10
	// damagedFile says that the store was found damaged while in use.
	damagedFile = "damaged"
)

var errStoreClosed = errors.New("local copy is closed")

func dataKey(key string) []byte { return append([]byte{dataPrefix}, key...) }

// get returns the value of a key; it must not be changed.
func (s *store) get(key string) ([]byte, bool, error) {
	if value, ok := s.cache.Get(key); ok {
		return value, true, nil
	}
	s.openMu.RLock()
	defer s.openMu.RUnlock()
	if s.db == nil {
		return nil, false, errStoreClosed
	}
	before := s.changesNow()
	stored, closer, err := s.db.Get(dataKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.fault("read", err)
	}
	value := append([]byte{}, stored[stampBytes:]...)
	if err := closer.Close(); err != nil {
		return nil, false, s.fault("read", err)
	}
	s.keep(key, value, before)
	return value, true, nil
}

func (s *store) changesNow() uint64 {
	s.cacheMu.Lock()
	defer s.cacheMu.Unlock()
	return s.changes
}

// keep caches a value, unless something was stored since it was read: it may be
// the old value of the key, which nobody would remove from the cache any more.
func (s *store) keep(key string, value []byte, before uint64) {
	if len(value) > cachedValueBytesMax {
		return
	}
	s.cacheMu.Lock()
	defer s.cacheMu.Unlock()
	if s.changes == before {
		s.cache.Add(key, value)
	}
}

// ascend calls fn for the keys with the prefix in order, with their value and
// time of writing, until it returns false.
func (s *store) ascend(prefix string, fn func(key string, value []byte, written time.Time) bool) error {
	s.openMu.RLock()
	defer s.openMu.RUnlock()
	if s.db == nil {
		return errStoreClosed
	}
	lower := dataKey(prefix)
	iterator, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return s.fault("range over", err)
	}
	for ok := iterator.First(); ok; ok = iterator.Next() {
		stored := iterator.Value()
		written := time.UnixMicro(int64(binary.BigEndian.Uint64(stored)))
		if !fn(string(iterator.Key()[1:]), stored[stampBytes:], written) {
			break
		}
	}
	if err := iterator.Close(); err != nil {
		return s.fault("range over", err)
	}
	return nil
}

// after is the first key behind all that have the prefix.
func after(prefix []byte) []byte {
	end := append([]byte{}, prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// apply stores the records of the topic, and how far it has now been read, as one
// change.
func (s *store) apply(records []*kgo.Record) error {
	s.openMu.RLock()
	defer s.openMu.RUnlock()
	if s.db == nil {
		return errStoreClosed
	}
	batch := s.db.NewBatch()
	for _, record := range records {
		if err := stage(batch, record); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	next := s.markNow()
	next.offset = records[len(records)-1].Offset + 1
	next.at = time.Now()
	if err := batch.Set([]byte(metaKey), next.encode(), nil); err != nil {
		return errors.Join(err, batch.Close())
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return s.fault("write", err)
	}
	s.setMark(next)

	s.cacheMu.Lock()
	defer s.cacheMu.Unlock()
	s.changes++
	for _, record := range records {
		s.cache.Remove(string(record.Key))
	}
	return nil
}

// stage adds a record to the batch. One without a key is nobody's: no table
// writes it, and a compacted topic would not keep it.
func stage(batch *pebble.Batch, record *kgo.Record) error {
	if len(record.Key) == 0 {
		return nil
	}
	key := dataKey(string(record.Key))
	if record.Value == nil {
		return batch.Delete(key, nil)
	}
	stored := make([]byte, stampBytes, stampBytes+len(record.Value))
	binary.BigEndian.PutUint64(stored, uint64(record.Timestamp.UnixMicro()))
	return batch.Set(key, append(stored, record.Value...), nil)
}

// fault counts an error of the store, and remembers damage for the next opening.
func (s *store) fault(doing string, err error) error {
	s.metrics.storeErrors.Inc()
	if pebble.IsCorruptionError(err) {
		note := os.WriteFile(filepath.Join(s.path, damagedFile), []byte(err.Error()), 0o600)
		return errors.Join(fmt.Errorf("%s damaged local copy, to be rebuilt when it is opened next: %w", doing, err), note)
	}
	return fmt.Errorf("%s local copy: %w", doing, err)
}

// seen notes that everything of before the moment has been read.
func (s *store) seen(at time.Time) {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	if at.After(s.mark.at) {
		s.mark.at = at
	}
}

func (s *store) markNow() mark {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	return s.mark
}

func (s *store) setMark(next mark) {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	s.mark = next
}

// close writes everything to disk and lets the folder go.
func (s *store) close() error {
	s.openMu.Lock()
	defer s.openMu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	s.cache.Purge()
	return errors.Join(
		db.Set([]byte(metaKey), s.markNow().encode(), pebble.NoSync),
		db.Flush(), // for there is no log to replay
		db.Close(),
		s.lock.Close(),
	)
}
