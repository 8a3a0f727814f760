package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lockFolder makes this process the only one to use the folder, creating it if it
// is missing. Neither the embedded broker nor the local tables survive a second
// process beside them, and only the kernel's lock is released by a kill -9. If
// another process holds it, the error names its pid and exits with exitRunning.
func lockFolder(folder string) (*flock.Flock, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data folder: %w", err)
	}
	path := filepath.Join(folder, "lock")
	lock := flock.New(path, flock.SetPermissions(0o600))
	taken, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if !taken {
		return nil, exitWith(exitRunning, fmt.Errorf(
			"already running with pid %s on data folder %s: stop it first, or choose another folder with --data-dir",
			lockHolder(path), folder))
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("writing the pid into the data folder's lock: %w", err)
	}
	return lock, nil
}

// lockHolder is the pid that the holder of a lock wrote into it.
func lockHolder(path string) string {
	content, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(content)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
