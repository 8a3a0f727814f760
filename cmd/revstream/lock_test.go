package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecondProcessOnAFolderIsToldWhoHoldsIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "data")
	lock, err := lockFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockFolder(folder)
	if err == nil || exitCode(err) != exitRunning {
		t.Fatalf("got %v with exit code %d, want %d", err, exitCode(err), exitRunning)
	}
	if want := fmt.Sprintf("already running with pid %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := lockFolder(folder)
	if err != nil {
		t.Fatalf("after the first is gone: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestDemoFileKeepsItsValues(t *testing.T) {
	folder := t.TempDir()
	if values, err := readDemoFile(folder); err != nil || len(values) != 0 {
		t.Fatalf("without a file: %v, %v", values, err)
	}
	want := map[string]string{}
	for i, name := range demoVariables {
		want[name] = fmt.Sprintf("clickhouse://demo:p%d@127.0.0.1:9000/revstream", i)
	}
	path, err := writeDemoFile(folder, want)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	got, err := readDemoFile(folder)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
	want[demoURL] = "$(reboot)"
	if _, err := writeDemoFile(folder, want); err == nil {
		t.Error("a value that the shell would act on was written")
	}
}
