package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
)

// storeFormat is the version of the layout on disk; another one is built anew.
const storeFormat = 1

// source is the topic that a store has to be a copy of.
type source struct {
	id            string
	earliest, end int64
	staleAfter    time.Duration
}

// mark is what a store knows of its topic.
type mark struct {
	format uint64
	offset int64     // where to read on
	at     time.Time // when it was last known to be up to date, by the local clock
	id     string
}

func (m mark) encode() []byte {
	out := binary.AppendUvarint(nil, m.format)
	out = binary.AppendVarint(out, m.offset)
	out = binary.AppendVarint(out, m.at.UnixMicro())
	return append(out, m.id...)
}

func decodeMark(value []byte) (mark, error) {
	format, n := binary.Uvarint(value)
	offset, o := binary.Varint(value[max(n, 0):])
	micros, p := binary.Varint(value[max(n, 0)+max(o, 0):])
	if n <= 0 || o <= 0 || p <= 0 {
		return mark{}, errors.New("mark is malformed")
	}
	return mark{format, offset, time.UnixMicro(micros), string(value[n+o+p:])}, nil
}

// unfit says why a store cannot go on as the copy of the source, or "".
func (m mark) unfit(from source, now time.Time) string {
	switch {
	case m.format != storeFormat:
		return "format"
	case m.id != from.id:
		return "another_topic"
	case m.offset > from.end:
		return "ahead_of_topic" // the topic lost its end, which the store has
	case m.offset < from.earliest:
		return "topic_trimmed" // what lay between is unknown
	case now.Sub(m.at) > from.staleAfter || m.at.Sub(now) > from.staleAfter:
		return "stale" // deletions may have been compacted away unseen
	}
	return ""
}

// openStore opens the store in a folder of the topic's name under dir, or makes
// an empty one there if what lies there is not a usable copy of the source. Only
// a folder whose lock is ours is ever emptied.
func openStore(cfg Config, topic, dir string, from source, metrics *tableMetrics, log *zap.Logger) (*store, error) {
	s := &store{path: filepath.Join(dir, topic), metrics: metrics}
	if err := os.MkdirAll(s.path, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of local copy: %w", err)
	}
	var err error
	if s.cache, err = lru.New[string, []byte](cfg.TableCacheEntries); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	if s.lock, err = pebble.LockDirectory(s.path, vfs.Default); err != nil {
		return nil, fmt.Errorf("lock folder of local copy %s: %w", s.path, err)
	}
	if err := s.openOrRebuild(cfg, from, log); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

func (s *store) openOrRebuild(cfg Config, from source, log *zap.Logger) error {
	reason, cause := s.openExisting(cfg, from, log)
	if reason == "" {
		return nil
	}
	if reason != reasonAbsent {
		log.Warn("building local copy anew", zap.String("reason", reason), zap.Error(cause))
	}
	s.metrics.rebuilds.WithLabelValues(reason).Inc()
	if err := s.wipe(); err != nil {
		return fmt.Errorf("empty folder of local copy: %w", err)
	}
	db, err := pebble.Open(s.path, s.options(cfg, log))
	if err != nil {
		return fmt.Errorf("open new local copy: %w", err)
	}
	s.db, s.mark = db, mark{format: storeFormat, offset: from.earliest, at: time.Now(), id: from.id}
	return nil
}

const reasonAbsent = "absent"

// openExisting opens what is there, or gives the reason why it is of no use.
func (s *store) openExisting(cfg Config, from source, log *zap.Logger) (reason string, cause error) {
	if note, err := os.ReadFile(filepath.Join(s.path, damagedFile)); err == nil {
		return "damaged", errors.New(string(note))
	}
	options := s.options(cfg, log)
	options.ErrorIfNotExists = true
	db, err := pebble.Open(s.path, options)
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return reasonAbsent, nil
	case err != nil:
		return "damaged", err
	}
	found, err := readMark(db)
	if err == nil {
		reason = found.unfit(from, time.Now())
	} else {
		reason = "damaged"
	}
	if reason != "" {
		return reason, errors.Join(err, db.Close())
	}
	s.db, s.mark = db, found
	return "", nil
}

func readMark(db *pebble.DB) (mark, error) {
	value, closer, err := db.Get([]byte(metaKey))
	if err != nil {
		return mark{}, fmt.Errorf("read mark: %w", err)
	}
	found, err := decodeMark(value)
	return found, errors.Join(err, closer.Close())
}

// wipe empties the folder but for the lock, which is held.
func (s *store) wipe() error {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == "LOCK" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.path, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// options keep the store small: a node has several, and they hold little.
func (s *store) options(cfg Config, log *zap.Logger) *pebble.Options {
	options := &pebble.Options{
		Lock:                        s.lock,
		CacheSize:                   int64(cfg.TableCacheBytes),
		MemTableSize:                uint64(cfg.TableMemoryBytes),
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                64,
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      storeLog{log},
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return options
}

// storeLog passes on what Pebble says of errors and keeps its chatter out.
type storeLog struct{ log *zap.Logger }

func (l storeLog) Infof(string, ...any) {}

func (l storeLog) Errorf(format string, values ...any) {
	l.log.Error("local copy", zap.String("message", fmt.Sprintf(format, values...)))
}

// Fatalf ends the process, as Pebble requires: it cannot go on after it.
func (l storeLog) Fatalf(format string, values ...any) {
	l.log.Fatal("local copy", zap.String("message", fmt.Sprintf(format, values...)))
}
