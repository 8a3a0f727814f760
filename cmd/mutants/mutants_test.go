package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Every mutant fits the source as it is. Whoever changes a line that a mutant breaks
// has to say anew how that rule is broken.
func TestEveryMutantFitsTheSource(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.rule] {
			t.Errorf("two mutants are called %q", m.rule)
		}
		seen[m.rule] = true
		source, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Errorf("%s: %v", m.rule, err)
			continue
		}
		if _, err := m.mutate(string(source)); err != nil {
			t.Errorf("%s: %v", m.rule, err)
		}
	}
}

func TestAMutantIsRefusedWhereItsTextIsNotFoundOnce(t *testing.T) {
	m := mutant{file: "f.go", edits: []edit{{"a", "b"}}}
	for source, want := range map[string]error{"xax": nil, "x": errSource, "aa": errSource} {
		if _, err := m.mutate(source); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", source, err, want)
		}
	}
}

func TestTheFirstFailingSeedCounts(t *testing.T) {
	output := []byte("failed: make sim SEEDS=1 FIRST_SEED=7\nfailed: make sim SEEDS=1 FIRST_SEED=5\n")
	if got := firstFailure(output, 12); got != 6 {
		t.Errorf("%d seeds were needed, want 6", got)
	}
	if got := firstFailure([]byte("panic: deadlock"), 12); got != 12 {
		t.Errorf("%d seeds were needed, want all 12", got)
	}
}
