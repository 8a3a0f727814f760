package enginetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse/embedded"
)

const (
	// ClusterName is what remote_servers call the cluster of StartShards.
	ClusterName = "shards"
	// ClusterShort lacks the last shard, and ClusterDoubled has the first instead:
	// mistakes that an operator could make.
	ClusterShort, ClusterDoubled = "short", "doubled"
	// ClusterPassword is that of AdminUser.
	ClusterPassword = "password-of-a-test"
)

// Shards are engines of their own that know each other as the shards of one
// cluster. They keep their folders and ports while the test lasts, so that one
// that was killed can come back.
type Shards struct {
	configs []embedded.Config
	engines []*embedded.Engine // nil while one is down
}

// StartShards starts so many. Readers are those of every engine. All of them end
// with the test.
func StartShards(t testing.TB, count int, readers ...embedded.Reader) *Shards {
	t.Helper()
	s := &Shards{engines: make([]*embedded.Engine, count)}
	var addresses []string
	for range count {
		config := Config(t.TempDir())
		config.Readers, config.Password = readers, ClusterPassword
		config.NativePort, config.HTTPPort = FreePort(t), FreePort(t)
		addresses = append(addresses, fmt.Sprintf("%s:%d", config.ListenHost, config.NativePort))
		s.configs = append(s.configs, config)
	}
	most := addresses[:count-1]
	for i := range s.configs {
		s.configs[i].Clusters = []embedded.Cluster{
			{Name: ClusterName, Secret: "secret-of-a-test", Shards: addresses},
			{Name: ClusterShort, Secret: "secret-of-a-test", Shards: most},
			{Name: ClusterDoubled, Secret: "secret-of-a-test", Shards: append(slices.Clone(most), addresses[0])},
		}
		s.Start(t, i)
	}
	t.Cleanup(func() {
		for i, engine := range s.engines {
			if engine != nil {
				_ = engine.Stop(context.Background()) // bounded by StopTimeout; the folder goes anyway
			}
			if fatal := s.fatal(i); fatal != "" && t.Failed() {
				t.Logf("shard %d has crashed by itself:\n%s", i, fatal)
			}
		}
	})
	return s
}

// fatal is what a shard's log says of a crash that was none of ours.
func (s *Shards) fatal(i int) string {
	text, _ := os.ReadFile(filepath.Join(s.configs[i].Dir, "logs", "clickhouse.log"))
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "<Fatal>") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// Addresses are host:port of the native protocol, by shard.
func (s *Shards) Addresses() []string { return s.configs[0].Clusters[0].Shards }

// Engine is the running engine of a shard, counted from 0.
func (s *Shards) Engine(i int) *embedded.Engine { return s.engines[i] }

// Start brings a shard up on its folder and ports.
func (s *Shards) Start(t testing.TB, i int) {
	t.Helper()
	engine, err := embedded.Start(context.Background(), s.configs[i], zap.NewNop())
	if err != nil {
		t.Fatalf("starting shard %d: %v", i, err)
	}
	s.engines[i] = engine
}

// Kill ends a shard's process the hard way and waits until it is gone.
func (s *Shards) Kill(t testing.TB, i int) {
	t.Helper()
	engine := s.engines[i]
	process, err := os.FindProcess(engine.PID())
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatalf("killing shard %d: %v", i, err)
	}
	select {
	case death := <-engine.Wait():
		t.Logf("shard %d was killed: %v", i, death)
	case <-time.After(10 * time.Second):
		t.Fatalf("shard %d did not end when it was killed", i)
	}
	s.engines[i] = nil
	if err := engine.Stop(context.Background()); err != nil { // gives the folder back
		t.Fatalf("clearing up after shard %d: %v", i, err)
	}
}

// FreePort is a port that nobody listens on, from below those that the system
// gives to outgoing connections: it is still free after a shard was down.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 15_000 + rand.IntN(15_000)
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("no free port was found")
	return 0
}
