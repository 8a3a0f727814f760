package embedded

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// diskSyncer makes everything that was written below a folder durable.
type diskSyncer struct {
	// folder stays open for as long as the broker: the kernel reports each
	// failed write-back once to every descriptor that was open then.
	folder *os.File
}

func newDiskSyncer(dir string) (*diskSyncer, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the log's folder: %w", err)
	}
	return &diskSyncer{folder: folder}, nil
}

// Sync writes back the whole file system, with one call however many files
// have changed. That includes what others have written, which is seldom much.
func (s *diskSyncer) Sync() error {
	if err := unix.Syncfs(int(s.folder.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", s.folder.Name(), err)
	}
	return nil
}

// Close implements io.Closer.
func (s *diskSyncer) Close() error { return s.folder.Close() }
