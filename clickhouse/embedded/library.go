package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// libraryVersion is the one that package-lock.json pins and that every setting
// here was tried with. npm's tag "latest" is an older one that cannot listen.
const libraryVersion = "26.7.3-stable.1"

// libraryNames are what the file is called inside the npm packages.
var libraryNames = []string{"libchdb.so", "libchdb.dylib"}

// libraryPackages are the npm packages by GOOS/GOARCH.
var libraryPackages = map[string]string{
	"linux/amd64":  "lib-linux-x64-gnu",
	"linux/arm64":  "lib-linux-arm64-gnu",
	"darwin/amd64": "lib-darwin-x64",
	"darwin/arm64": "lib-darwin-arm64",
}

// lockedPlatform is the one platform whose package is in the lock file with
// its hash, and on which all of this was tried. On the others the package has
// to be added to the lock once.
const lockedPlatform = "linux/amd64"

// FindLibrary returns the absolute path of ClickHouse's library. A configured
// path (the file, or a folder that holds it) is the only place looked at when
// it is given. Otherwise: beside the executable, in its ../lib/revstream, and
// in clickhouse/embedded/node_modules of the working folder and of each
// folder above it and above the executable. The error names what to do.
func FindLibrary(configured, executable string) (string, error) {
	if configured != "" {
		if isFile(configured) {
			return filepath.Abs(configured)
		}
		if path, ok := libraryIn(configured); ok {
			return filepath.Abs(path)
		}
		return "", fmt.Errorf("the embedded ClickHouse is not at %s, as file or as a folder with one of %s",
			configured, strings.Join(libraryNames, ", "))
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := libraryPackages[platform]
	if !ok {
		return "", fmt.Errorf("there is no embedded ClickHouse for %s: use a server of its own", platform)
	}
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the embedded ClickHouse: %w", err)
	}
	beside := filepath.Dir(executable)
	folders := []string{beside, filepath.Join(beside, "..", "lib", "revstream")}
	for _, from := range []string{working, beside} {
		for dir := from; ; dir = filepath.Dir(dir) {
			folders = append(folders, filepath.Join(dir, "clickhouse", "embedded", "node_modules", "@chdb", pkg))
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	for _, folder := range folders {
		if path, ok := libraryIn(folder); ok {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("the embedded ClickHouse is not installed: run `%s`, or configure library_path, or use a server of its own; "+
		"looked beside %s and above %s", installCommand(platform, pkg), executable, working)
}

// installCommand is what to run in the source tree to get the library.
func installCommand(platform, pkg string) string {
	if platform == lockedPlatform {
		return "npm ci --prefix clickhouse/embedded"
	}
	return "npm install --prefix clickhouse/embedded --save-optional --save-exact @chdb/" + pkg + "@" + libraryVersion
}

func libraryIn(folder string) (string, bool) {
	for _, name := range libraryNames {
		if path := filepath.Join(folder, name); isFile(path) {
			return path, true
		}
	}
	return "", false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
