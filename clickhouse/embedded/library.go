package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// libraryName is the file inside each of the npm packages, on every system.
const libraryName = "libchdb.so"

// libraryPackages are the npm packages by GOOS/GOARCH, as pinned in
// package-lock.json beside this file.
var libraryPackages = map[string]string{
	"linux/amd64":  "lib-linux-x64-gnu",
	"linux/arm64":  "lib-linux-arm64-gnu",
	"darwin/amd64": "lib-darwin-x64",
	"darwin/arm64": "lib-darwin-arm64",
}

// FindLibrary returns the absolute path of ClickHouse's library. A configured
// path (the file, or a folder that holds it) is the only place looked at when
// it is given. Otherwise: beside the executable, in its ../lib/revstream, and
// in clickhouse/embedded/node_modules of the working folder and of each
// folder above it and above the executable. The error names what to do.
func FindLibrary(configured, executable string) (string, error) {
	if configured != "" {
		return findConfigured(configured)
	}
	pkg, ok := libraryPackages[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", fmt.Errorf("there is no embedded ClickHouse for %s/%s: use a server of its own", runtime.GOOS, runtime.GOARCH)
	}
	beside := filepath.Dir(executable)
	candidates := []string{
		filepath.Join(beside, libraryName),
		filepath.Join(beside, "..", "lib", "revstream", libraryName),
	}
	inModule := filepath.Join("clickhouse", "embedded", "node_modules", "@chdb", pkg, libraryName)
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the embedded ClickHouse: %w", err)
	}
	for _, from := range []string{working, beside} {
		for dir := from; ; dir = filepath.Dir(dir) {
			candidates = append(candidates, filepath.Join(dir, inModule))
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	for _, candidate := range candidates {
		if isFile(candidate) {
			return filepath.Abs(candidate)
		}
	}
	return "", fmt.Errorf("the embedded ClickHouse (%s) is not installed: run `npm ci --prefix clickhouse/embedded`, "+
		"or set its path, or use a server of its own; looked beside %s and above %s", libraryName, executable, working)
}

func findConfigured(configured string) (string, error) {
	candidates := []string{configured, filepath.Join(configured, libraryName)}
	for _, candidate := range candidates {
		if isFile(candidate) {
			return filepath.Abs(candidate)
		}
	}
	return "", fmt.Errorf("the embedded ClickHouse is not at %s", strings.Join(candidates, " nor at "))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
