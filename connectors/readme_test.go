package connectors_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADMEBuildsAConnector follows README.md to the letter, in a copy of what it
// needs of the repository: writes the files that it shows, changes the registry as
// it says, and runs its commands.
func TestREADMEBuildsAConnector(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "connectors", "ingest/revenue"} {
		copyInto(t, root, part)
	}
	files, changes, commands := 0, 0, 0
	blocks := regexp.MustCompile("(?ms)^(?:`(connectors/[^`]+)`:\n\n)?^```(go|json|diff|sh)\n(.*?)^```$")
	for _, block := range blocks.FindAllStringSubmatch(string(readme), -1) {
		path, language, text := block[1], block[2], block[3]
		switch {
		case path != "":
			files++
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		case language == "diff":
			changes++
			patch(t, filepath.Join(root, "connectors/registry/registry.go"), text)
		case language == "sh":
			for command := range strings.Lines(text) {
				commands++
				run(t, root, strings.Fields(command))
			}
		default:
			t.Errorf("a block of %s without the name of its file:\n%s", language, text)
		}
	}
	if files != 3 || changes != 2 || commands != 2 {
		t.Errorf("%d files, %d changes, %d commands", files, changes, commands)
	}
	golden, err := os.ReadFile(filepath.Join(root, "connectors/toypay/testdata/golden/refund_bounces.json"))
	if err != nil || !strings.Contains(string(golden), `"campaign": "spring"`) {
		t.Errorf("golden file: %v\n%s", err, golden)
	}
}

// copyInto copies a file or folder of the repository.
func copyInto(t *testing.T, root, part string) {
	t.Helper()
	from, to := filepath.Join("..", part), filepath.Join(root, part)
	information, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if information.IsDir() {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// patch puts the added line of a difference behind the one that it shows before.
func patch(t *testing.T, path, difference string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, added, found := strings.Cut(difference, "\n+")
	before = strings.TrimPrefix(before, " ") + "\n"
	if !found || strings.Count(string(text), before) != 1 {
		t.Fatalf("%s does not have %q once", path, before)
	}
	changed := strings.Replace(string(text), before, before+added, 1)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, folder string, arguments []string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}
