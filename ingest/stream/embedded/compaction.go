package embedded

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// The folders of a compaction. A backup is complete by its name alone.
func (c Config) compactionPartial() string { return filepath.Join(c.Dir, "compaction.partial") }
func (c Config) compactionBackup() string  { return filepath.Join(c.Dir, "compaction.backup") }
func (c Config) compactionDone() string    { return filepath.Join(c.Dir, "compaction.done") }

// compact removes superseded records from the compacted topics.
//
// kfake deletes the old files of a partition and then writes the new ones, so
// a crash in between would lose the partition. So a second set of links to
// the old files is made first, and put back at the next start if compaction
// did not come to its end. Nothing is acknowledged from before the links are
// made until they are dropped: what was written meanwhile, and would not be
// among the links, was promised to nobody.
func (b *Broker) compact() error {
	began := time.Now()
	err := b.commits.exclusive(func() error {
		if err := b.backUp(); err != nil {
			// Nothing has happened yet, so nothing has failed.
			b.log.Warn("compaction put off", zap.Error(err))
			return nil
		}
		if err := os.Rename(b.cfg.compactionPartial(), b.cfg.compactionBackup()); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		if err := b.syncer.Sync(); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		b.cluster.Compact()
		if err := b.words.rebuildError(); err != nil {
			return fmt.Errorf("compacting: the next start restores the log: %w", err)
		}
		if err := b.syncer.Sync(); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		if err := os.Rename(b.cfg.compactionBackup(), b.cfg.compactionDone()); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		// The old links must be gone for certain before anything newer is
		// acknowledged, or they would be put back over it.
		if err := b.syncer.Sync(); err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		b.metrics.compactionsTotal.Inc()
		b.log.Info("embedded broker compacted its tables", zap.Duration("took", time.Since(began)))
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(b.cfg.compactionDone()); err != nil {
		return fmt.Errorf("removing the old files of a compaction: %w", err)
	}
	return nil
}

// backUp makes a second set of links to the files of the compacted topics, not
// yet under the name that makes it count.
func (b *Broker) backUp() error {
	partitions, err := b.partitions()
	if err != nil {
		return err
	}
	// What is linked has to be complete: nothing acknowledged may be in
	// memory only.
	if err := b.syncer.Sync(); err != nil {
		return err
	}
	for _, leftover := range []string{b.cfg.compactionPartial(), b.cfg.compactionDone()} {
		if err := os.RemoveAll(leftover); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(b.cfg.compactionPartial(), 0o700); err != nil {
		return err
	}
	for _, p := range partitions {
		if !p.compacted {
			continue
		}
		from := filepath.Join(b.cfg.partitionsDir(), p.dir)
		if err := linkAll(from, filepath.Join(b.cfg.compactionPartial(), p.dir)); err != nil {
			return fmt.Errorf("linking %s: %w", from, err)
		}
	}
	return nil
}

// linkAll makes the folder `to` with links to the files of the folder `from`.
func linkAll(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeType != 0 {
			continue
		}
		if err := os.Link(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// recoverCompaction puts the files of an unfinished compaction back. It may
// itself be interrupted and run again.
func recoverCompaction(cfg Config) error {
	for _, leftover := range []string{cfg.compactionPartial(), cfg.compactionDone()} {
		if err := os.RemoveAll(leftover); err != nil {
			return fmt.Errorf("recovering from a compaction: %w", err)
		}
	}
	saved, err := os.ReadDir(cfg.compactionBackup())
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recovering from a compaction: %w", err)
	}
	for _, partition := range saved {
		original := filepath.Join(cfg.partitionsDir(), partition.Name())
		if err := os.RemoveAll(original); err != nil {
			return fmt.Errorf("recovering from a compaction: %w", err)
		}
		if err := os.Rename(filepath.Join(cfg.compactionBackup(), partition.Name()), original); err != nil {
			return fmt.Errorf("recovering from a compaction: %w", err)
		}
	}
	if err := os.Remove(cfg.compactionBackup()); err != nil {
		return fmt.Errorf("recovering from a compaction: %w", err)
	}
	return nil
}
