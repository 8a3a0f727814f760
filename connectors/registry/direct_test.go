package registry_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"revstream/connectors/connectortest"
	"revstream/connectors/native"
	"revstream/ingest/revenue"
)

// accepted is when the nth request to a direct API is.
func accepted(n int) time.Time { return connectortest.ReceivedAt.Add(time.Duration(n) * time.Second) }

// nativeLife is what the package's own golden file is made of.
func nativeLife(t *testing.T) (statements [][]revenue.Event) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "native", "testdata", "events.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	events, err := native.Split(text, true, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i, event := range events {
		e, err := native.Read(event, native.Acceptance{
			Workspace: "acme", WorkspaceAliases: []string{"w1", "acme"}, Integration: "key_1", Currency: "USD", ObjectID: fmt.Sprintf("made_%d", i), ObjectIDVersion: 7,
			Version: accepted(i).UnixMicro(), ReceivedAt: accepted(i),
		})
		if err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		statements = append(statements, []revenue.Event{e})
	}
	return statements
}
