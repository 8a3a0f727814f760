package embedded

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// ChildCommand is the hidden sub-command under which a program becomes the
// engine: when os.Args[1] equals it, main must return ChildMain(os.Args[2:])
// as its exit code, before anything else is read or opened.
const ChildCommand = "clickhouse-engine-child"

// ChildMain is the whole life of the child process: it loads the library
// named by the first argument, stands its doors on the next two (host:port of
// the native protocol and of HTTP), writes their ports to the file named by
// the fourth, lets other shards in if the fifth is shardsWelcome, and hands the
// library the others as the command line of clickhouse-local. It comes back when the engine has ended, that is when
// standard input is at its end, and returns the exit code.
//
// A zero says little: the library reports no error for a port in use or a
// locked folder. The parent judges by the early end and by standard error.
func ChildMain(args []string) int {
	if len(args) < 6 {
		fmt.Fprintf(os.Stderr, "%s is started by revstream itself, with a library and its arguments\n", ChildCommand)
		return 2
	}
	native, http, ports, shards := args[1], args[2], args[3], args[4] == shardsWelcome
	// The library keeps thread-local state for the calling thread.
	runtime.LockOSThread()
	library, err := purego.Dlopen(args[0], purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		fmt.Fprintf(os.Stderr, "loading %s: %v\n", args[0], err)
		return 1
	}
	var (
		queryCommandLine func(argc int32, argv unsafe.Pointer) unsafe.Pointer
		resultError      func(result unsafe.Pointer) string
	)
	for name, function := range map[string]any{
		"chdb_query_cmdline": &queryCommandLine,
		"chdb_result_error":  &resultError,
	} {
		symbol, err := purego.Dlsym(library, name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s has no %s, it is another version than the pinned one: %v\n", args[0], name, err)
			return 1
		}
		purego.RegisterFunc(function, symbol)
	}
	go func() {
		if err := openDoors(native, http, ports, shards); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	commandLine := newCommandLine(append([]string{"clickhouse"}, args[5:]...))
	result := queryCommandLine(int32(len(commandLine.pointers)-1), unsafe.Pointer(&commandLine.pointers[0]))
	runtime.KeepAlive(commandLine)
	if result == nil {
		return 0
	}
	if message := resultError(result); message != "" {
		fmt.Fprintln(os.Stderr, message)
		return 1
	}
	return 0
}

// commandLine is argv as C wants it. The pointers and the bytes they point to
// stay in Go memory, which does not move, and must outlive the call.
type commandLine struct {
	pointers []*byte
	bytes    [][]byte
}

func newCommandLine(args []string) *commandLine {
	line := &commandLine{}
	for _, arg := range args {
		text := append([]byte(arg), 0)
		line.bytes = append(line.bytes, text)
		line.pointers = append(line.pointers, &text[0])
	}
	line.pointers = append(line.pointers, nil)
	return line
}
