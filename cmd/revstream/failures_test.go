package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testName is a test in a document.
var testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")

// TestEveryFailureHasATest holds the failure table of ARCHITECTURE.md to its
// promise: its last column names, for each row, tests that exist.
func TestEveryFailureHasATest(t *testing.T) {
	declared := declaredTests(t)
	rows := failureTable(t)
	if len(rows) < 20 {
		t.Fatalf("only %d rows in the failure table", len(rows))
	}
	for _, cells := range rows {
		failure, shownBy := cells[0], cells[len(cells)-1]
		named := testName.FindAllStringSubmatch(shownBy, -1)
		if len(named) == 0 {
			t.Errorf("%q names no test: %q", failure, shownBy)
		}
		for _, match := range named {
			switch files := declared[match[1]]; len(files) {
			case 0:
				t.Errorf("%q is shown by %s, which does not exist", failure, match[1])
			case 1:
			default:
				t.Errorf("%q is shown by %s, of which there are several: %v", failure, match[1], files)
			}
		}
	}
}

// failureTable reads the rows of the table, each as its cells.
func failureTable(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Failure at each stage\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no failure table")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 || rows[0][len(rows[0])-1] != "shown by" {
		t.Fatal("the failure table's last column is not what a failure is shown by")
	}
	return rows[1:]
}

// declaredTests lists the files that declare each test of the repository, whatever
// their build tags.
func declaredTests(t *testing.T) map[string][]string {
	t.Helper()
	declared := map[string][]string{}
	eachSource(t, func(path string, source []byte) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if function, isFunction := declaration.(*ast.FuncDecl); isFunction && function.Recv == nil {
				declared[function.Name.Name] = append(declared[function.Name.Name], path)
			}
		}
	})
	return declared
}
