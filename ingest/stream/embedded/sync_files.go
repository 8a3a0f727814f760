package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// fileSyncer syncs the files and folders below a folder that have changed
// since it last looked: for systems that cannot sync a file system at once.
// It is not safe for concurrent use.
type fileSyncer struct {
	dir    string
	synced map[string]fileState
	fsync  func(path string) error
}

type fileState struct {
	size     int64
	modified time.Time
}

func newFileSyncer(dir string) *fileSyncer {
	return &fileSyncer{dir: dir, synced: map[string]fileState{}, fsync: fsyncPath}
}

// Sync returns when everything below the folder that was written before the
// call is durable. What vanishes meanwhile needs no sync, but its folder does,
// and has changed by that.
func (s *fileSyncer) Sync() error {
	seen := make(map[string]fileState, len(s.synced))
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return ignoreVanished(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreVanished(err)
		}
		// The state is taken before the sync: a change during it shows in
		// the next round.
		state := fileState{size: info.Size(), modified: info.ModTime()}
		if held, ok := s.synced[path]; !ok || held != state {
			if err := s.fsync(path); err != nil {
				return ignoreVanished(err)
			}
		}
		seen[path] = state
		return nil
	})
	if err != nil {
		return fmt.Errorf("syncing %s: %w", s.dir, err)
	}
	s.synced = seen
	return nil
}

func ignoreVanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func fsyncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
