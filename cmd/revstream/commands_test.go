package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"revstream/ingest/stream"
	broker "revstream/ingest/stream/embedded"
)

// runOn runs one command line in this process on a broker that is shared by the
// commands of a test.
func runOn(t *testing.T, addr string, args ...string) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	code = execute(append(args, "--data-dir", t.TempDir(), "--kafka-brokers", addr, "--set", "kafka.replication_factor=1",
		"--set", "kafka.min_insync_replicas=1", "--set", "kafka.partitions=4"), &out, &out)
	return code, out.String()
}

// testBroker is an embedded broker of the test alone.
func testBroker(t *testing.T) (addr string) {
	t.Helper()
	config := broker.DefaultConfig()
	config.Dir = t.TempDir()
	b, err := broker.Start(config, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b.Addr()
}

func TestCommandsRefuse(t *testing.T) {
	addr := testBroker(t)
	if code, output := runOn(t, addr, "workspaces", "create", "known"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, output)
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"keys create --workspace known --expires-in -5s", exitUsage, "--expires-in"},
		{"keys create --workspace known --expires-in 0s", exitUsage, "--expires-in"},
		{"keys create --workspace known --scopes everything", exitUsage, "scope"},
		{"keys create --workspace known --style baroque", exitUsage, "style"},
		{"keys create --workspace known --rate-per-second -1", exitUsage, "rate"},
		{"keys create --workspace unheard-of", exitFailure, "unheard-of"},
		{"keys create", exitUsage, "--workspace or --installation"},
		{"keys create --workspace known --installation", exitUsage, "not both"},
		{"keys create --installation --scopes read", exitUsage, "admin and no other"},
		{"keys list", exitUsage, "--workspace or --installation"},
		{"keys list --workspace unheard-of", exitFailure, "unheard-of"},
		{"keys revoke key_0", exitFailure, "key_0"},
		{"workspaces create Not/A/Slug", exitUsage, "slug"},
		{"workspaces create other --time-zone Mars/Olympus", exitUsage, "Mars"},
		{"workspaces create other --currency XYZ", exitUsage, "XYZ"},
		{"endpoints create --workspace known --provider unheard-of", exitUsage, "want one of stripe, "},
		{"endpoints create --workspace known --provider stripe --setting off_stripe=perhaps", exitUsage, "count, exclude"},
		{"endpoints create --workspace known --provider stripe --setting colour=red", exitUsage, "colour"},
		{"endpoints create --workspace known --provider stripe --setting off_stripe", exitUsage, "name=value"},
		{"endpoints create --workspace known --provider stripe --setting off_stripe=@/no/such/file", exitFailure, "no such file"},
		{"endpoints set we_0 off_stripe=count", exitFailure, "endpoint"},
		{"endpoints create --workspace known --provider stripe --mode sometimes", exitUsage, "mode"},
		{"endpoints create --workspace unheard-of --provider stripe", exitFailure, "unheard-of"},
		{"endpoints list --workspace unheard-of", exitFailure, "unheard-of"},
		{"dead-letters discard", exitUsage, "say which"},
	} {
		code, output := runOn(t, addr, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(output, test.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", test.args, code, test.code, test.says, output)
		}
	}
	for _, args := range []string{
		"keys create --workspace known --expires-in 5s", "keys list --workspace known", "keys create --installation", "keys list --installation",
		"endpoints create --workspace known --provider stripe", "endpoints list --workspace known",
		"endpoints create --workspace known --provider paddle --setting signature_age_max=1m", "endpoints providers", "endpoints providers --json",
	} {
		if code, output := runOn(t, addr, strings.Fields(args)...); code != exitOK {
			t.Errorf("%s: exit code %d\n%s", args, code, output)
		}
	}
}

func TestDeadLettersAreDiscarded(t *testing.T) {
	addr := testBroker(t)
	config := stream.DefaultConfig()
	config.Brokers, config.ReplicationFactor, config.MinInsyncReplicas = []string{addr}, 1, 1
	if err := stream.EnsureTopics(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	producer, err := stream.NewProducer(config, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	for partition, reason := range []string{"poison", "poison", "version"} {
		letter := stream.DeadLetter{Topic: config.EventsTopic, Partition: int32(partition), Offset: 7, Reason: reason, Error: "e", Value: []byte("x"), At: time.Now()}
		if err := producer.Quarantine(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (reasons string) {
		t.Helper()
		err := stream.DeadLetters(t.Context(), config, func(letter stream.DeadLetter) error {
			reasons += letter.Reason + " "
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(reasons)
	}
	for _, step := range []struct{ args, says, left string }{
		{"--partition 0 --reason version", "discarded 0", "poison poison version"},
		{"--partition 0 --offset 7", "discarded 1", "poison version"},
		{"--reason poison", "discarded 1", "version"},
		{"--all", "discarded 1", ""},
	} {
		code, output := runOn(t, addr, append([]string{"dead-letters", "discard"}, strings.Fields(step.args)...)...)
		if got := left(); code != exitOK || !strings.Contains(output, step.says) || got != step.left {
			t.Errorf("%s: exit code %d, %q, left %q, want %q", step.args, code, output, got, step.left)
		}
	}
}
