package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is the first fenced block of a language in a document.
func block(t *testing.T, document, language string) string {
	t.Helper()
	match := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(document)
	if match == nil {
		t.Fatalf("there is no block of %s", language)
	}
	return match[1]
}

// TestDryRun follows the page of the generic connector: its body becomes what its
// mapping says.
func TestDryRun(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "connectors", "generic", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mapping := "mapping=@" + write("shop.jq", block(t, string(page), "jq"))
	body := write("body.json", block(t, string(page), "json"))

	var out bytes.Buffer
	if code := execute([]string{"endpoints", "dry-run", "--provider", "generic", "--setting", mapping, "--test", body}, &out, &out); code != exitOK {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
	var items []shownItem
	if err := json.Unmarshal(out.Bytes(), &items); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if len(items) != 1 || items[0].Type != "sale.paid" || len(items[0].Statements) != 1 {
		t.Fatalf("%+v", items)
	}
	if s := items[0].Statements[0]; s.Amount != 1250 || s.Currency != "USD" || s.ObjectID != "s1" || s.Livemode {
		t.Errorf("%+v", s)
	}

	for args, says := range map[string]string{
		"--provider generic " + body:                                      "mapping is required",
		"--provider generic --setting mapping={ " + body:                  "not a jq program",
		"--provider unheard-of " + body:                                   "want one of",
		"--provider generic --setting " + mapping + " --header X " + body: "Name: value",
		"--provider generic --setting " + mapping + " /no/such/file":      "no such file",
	} {
		out.Reset()
		code := execute(append([]string{"endpoints", "dry-run"}, strings.Fields(args)...), &out, &out)
		if code != exitUsage || !strings.Contains(out.String(), says) {
			t.Errorf("%s: exit code %d, %s", args, code, out.String())
		}
	}
}
