package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// moduleRoot is the repository as seen from this package's tests.
const moduleRoot = "../.."

// arrows says which of our packages each package may import: the picture in
// ARCHITECTURE.md as a rule. A package that is not listed fails the test, so that
// whoever adds one has to say where it stands.
var arrows = map[string][]string{
	"ingest/revenue":         {},
	"connectors":             {"ingest/revenue"},
	"ingest/stream":          {"ingest/revenue"},
	"ingest/stream/embedded": {"ingest/stream"},
	"ingest/control":         {"ingest/revenue", "ingest/stream"},
	// How often a key may ask, for those who answer HTTP.
	"ingest/quota":        {"ingest/control"},
	"clickhouse":          {"ingest/revenue"},
	"clickhouse/embedded": {},
	// The direct APIs are connectors too, without a webhook: their words belong to
	// their packages, HTTP to this one.
	"ingest":          {"ingest/revenue", "connectors", "ingest/stream", "ingest/control", "ingest/quota"},
	"ingest/sink":     {"ingest/revenue", "ingest/stream", "clickhouse"},
	"ingest/archive":  {"ingest/revenue", "ingest/stream", "clickhouse", "connectors"},
	"ingest/backfill": {"ingest/revenue", "ingest/stream", "ingest/control", "connectors"},
	// Asks both sides.
	"ingest/reconcile": {"ingest/backfill", "ingest/control", "clickhouse", "connectors"},
	"analytics":        {"ingest/revenue", "clickhouse", "ingest/control", "ingest/quota"},
	// Tells subscribers what the answers and the ledger have.
	"analytics/alerts": {"ingest/revenue", "clickhouse", "ingest/control", "analytics"},
	// Reads files, for the command that loads them.
	"analytics/rates": {"clickhouse"},
	// Connectors of one provider each: see allowedImports.
	"connectors/*": {"ingest/revenue", "connectors"},
	// Names them all, for those who wire them.
	"connectors/registry": {"connectors", "connectors/*"},
	// What all of them are held against, for tests only.
	"connectors/connectortest": {"ingest/revenue", "connectors"},
	// For tests only.
	"clickhouse/embedded/enginetest": {"clickhouse/embedded"},
	"ingest/stream/apachekafka":      {},
	"ingest/stream/kafkatest":        {},
	"cmd/apachekafka":                {"ingest/stream/apachekafka", "ingest/stream/kafkatest"},
	// Reads the sources and runs their tests.
	"cmd/mutants": {},
	// Only talk to a running service, as any caller does.
	"cmd/simulation": {"ingest/revenue"},
	"cmd/chaos":      {"cmd/simulation"},
	"cmd/revstream":  {"*"},
}

// confined says which packages may import a library, so that a change of library
// is a change of one package.
var confined = map[string][]string{
	"github.com/gofiber/fiber":            {"ingest", "analytics", "cmd/revstream"},
	"github.com/twmb/franz-go":            {"ingest/stream", "ingest/stream/embedded", "ingest/stream/apachekafka", "ingest/stream/kafkatest", "ingest/sink"},
	"github.com/ClickHouse/clickhouse-go": {"clickhouse"},
	"github.com/stripe/stripe-go":         {"connectors/stripe"},
	"github.com/apache/arrow-go":          {"analytics"},
	"github.com/itchyny/gojq":             {"connectors/generic"},
	"github.com/ebitengine/purego":        {"clickhouse/embedded"},
	"github.com/spf13/cobra":              {"cmd/revstream"},
	"github.com/knadh/koanf":              {"cmd/revstream"},
}

// topLevel is everything that may lie at the top of the repository, beside
// dotfiles and what .gitignore names.
var topLevel = []string{
	"analytics", "clickhouse", "cmd", "connectors", "deploy", "ingest",
	"ARCHITECTURE.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
	"bin", "data", "node_modules", // ignored by git
}

var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "type", "types", "manager", "misc", "shared"}

const (
	functionLinesMax = 70  // lines of code, comments and blank lines free
	fileLinesMax     = 400 // all lines of a file that is no test
)

type listedPackage struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports", "./...")
	command.Dir = moduleRoot
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listedPackage
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// allowedImports are the arrows of a package, or nil if nobody has said.
func allowedImports(path string) []string {
	if allowed, listed := arrows[path]; listed {
		return allowed
	}
	if provider, found := strings.CutPrefix(path, "connectors/"); found && !strings.Contains(provider, "/") {
		return arrows["connectors/*"]
	}
	return nil
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range listPackages(t) {
		path := strings.TrimPrefix(p.ImportPath, "revstream/")
		allowed := allowedImports(path)
		if allowed == nil {
			t.Errorf("%s: no rule says what it may import; add it to arrows and to ARCHITECTURE.md", path)
			continue
		}
		for _, imported := range p.Imports {
			if ours, isOurs := strings.CutPrefix(imported, "revstream/"); isOurs {
				family := ours[:strings.LastIndexByte(ours, '/')+1] + "*"
				if !slices.Contains(allowed, ours) && !slices.Contains(allowed, family) && !slices.Contains(allowed, "*") {
					t.Errorf("%s imports %s, which does not lie below it", path, ours)
				}
				continue
			}
			if path == "ingest/revenue" && strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s imports %s: it may use the standard library only", path, imported)
			}
			for library, users := range confined {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && !slices.Contains(users, path) {
					t.Errorf("%s imports %s, which is for %s", path, imported, strings.Join(users, ", "))
				}
			}
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		for _, word := range strings.Split(strings.TrimPrefix(p.ImportPath, "revstream/"), "/") {
			if slices.Contains(bannedNames, word) {
				t.Errorf("%s: %q says nothing about what is in it", p.ImportPath, word)
			}
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		ignored := strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof")
		if !ignored && !slices.Contains(topLevel, name) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}

// eachSource calls visit for every Go file of the repository.
func eachSource(t *testing.T, visit func(path string, source []byte)) {
	t.Helper()
	err := filepath.WalkDir(moduleRoot, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != moduleRoot && (strings.HasPrefix(entry.Name(), ".") ||
			slices.Contains([]string{"node_modules", "testdata", "bin", "data"}, entry.Name())) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(moduleRoot, path)
		visit(filepath.ToSlash(relative), source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	eachSource(t, func(path string, source []byte) {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".go"), "_test")
		if slices.Contains(bannedNames, name) {
			t.Errorf("%s: the file's name says nothing about what is in it", path)
		}
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		if lines := bytes.Count(source, []byte("\n")); lines > fileLinesMax {
			t.Errorf("%s has %d lines, more than %d", path, lines, fileLinesMax)
		}
		for function, lines := range functionLengths(t, path, source) {
			if lines >= functionLinesMax {
				t.Errorf("%s:%s has %d lines of code, %d or more", path, function, lines, functionLinesMax)
			}
		}
	})
}

// functionLengths counts the lines of code in each function of a file.
func functionLengths(t *testing.T, path string, source []byte) map[string]int {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(source), "\n")
	lengths := map[string]int{}
	for _, declaration := range file.Decls {
		function, isFunction := declaration.(*ast.FuncDecl)
		if !isFunction || function.Body == nil {
			continue
		}
		count := 0
		for _, line := range lines[files.Position(function.Pos()).Line-1 : files.Position(function.End()).Line] {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				count++
			}
		}
		lengths[declaredName(function)] = count
	}
	return lengths
}

// declaredName is Func, or Type.Method.
func declaredName(function *ast.FuncDecl) string {
	if function.Recv == nil || len(function.Recv.List) == 0 {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if pointer, isPointer := receiver.(*ast.StarExpr); isPointer {
		receiver = pointer.X
	}
	if generic, isGeneric := receiver.(*ast.IndexExpr); isGeneric {
		receiver = generic.X
	}
	return fmt.Sprintf("%s.%s", receiver.(*ast.Ident).Name, function.Name.Name)
}

// reference is path/file.go:Name in a document, where Name is a function, a type
// or Type.Method.
var reference = regexp.MustCompile(`([A-Za-z0-9_./-]+\.go):([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)`)

func TestDocumentsNameWhatExists(t *testing.T) {
	for _, document := range []string{"ARCHITECTURE.md", "deploy/runbook.md"} {
		text, err := os.ReadFile(filepath.Join(moduleRoot, document))
		if err != nil {
			t.Errorf("%s is part of the product: %v", document, err)
			continue
		}
		for _, match := range reference.FindAllStringSubmatch(string(text), -1) {
			path, name := match[1], match[2]
			source, err := os.ReadFile(filepath.Join(moduleRoot, path))
			if err != nil {
				t.Errorf("%s names %s, which does not exist", document, path)
				continue
			}
			if !slices.Contains(declaredNames(t, path, source), name) {
				t.Errorf("%s names %s:%s, which does not exist", document, path, name)
			}
		}
	}
}

func declaredNames(t *testing.T, path string, source []byte) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			names = append(names, declaredName(declaration))
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// metric is the name of a metric in a document.
var metric = regexp.MustCompile("`(revstream_[a-z_]+)")

// metricsOf reads all sources and tells whether a metric is registered: its last
// words, under a namespace and a subsystem.
func metricsOf(t *testing.T) (exists func(name string) bool) {
	t.Helper()
	var sources bytes.Buffer
	eachSource(t, func(path string, source []byte) {
		if strings.HasSuffix(path, "metrics.go") {
			sources.Write(source)
		}
	})
	return func(name string) bool {
		name = strings.TrimSuffix(name, "_count")
		if bytes.Contains(sources.Bytes(), []byte(`"`+name+`"`)) {
			return true
		}
		words := strings.Split(name, "_")
		for i := 2; i < len(words); i++ { // after revstream and the subsystem
			if bytes.Contains(sources.Bytes(), []byte(`"`+strings.Join(words[i:], "_")+`"`)) &&
				bytes.Contains(sources.Bytes(), []byte(`"`+strings.Join(words[1:i], "_")+`"`)) {
				return true
			}
		}
		return false
	}
}

func TestRunbookNamesMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot, "deploy/runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := metricsOf(t)
	found := metric.FindAllStringSubmatch(string(text), -1)
	if len(found) < 10 {
		t.Fatalf("only %d metrics in the runbook", len(found))
	}
	for _, match := range found {
		if !exists(match[1]) {
			t.Errorf("no metric is called %s", match[1])
		}
	}
}
