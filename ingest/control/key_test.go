package control

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"revstream/ingest/stream"
)

// A key is good on every node at once, without the other node having read of it.
func TestKeyOnOtherNode(t *testing.T) {
	cfg := kafka(t)
	a, _ := node(t, cfg)
	b, _ := node(t, cfg)
	workspace(t, a, "acme")
	for i := range 20 {
		key, text := newKey(t, a, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRevenueWrite}, RatePerSecond: float64(i), Burst: i})
		got, err := b.Authenticate(text)
		if err != nil || got.ID != key.ID || got.Burst != i || !got.Allows(ScopeRevenueWrite) || got.Allows(ScopeRead) || got.Allows(ScopeAdmin) {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Scopes[0] = ScopeAdmin // the caller's own
	}
	if list := b.Keys("acme"); len(list) != 20 || list[0].Scopes[0] != ScopeRevenueWrite {
		t.Errorf("%d keys, first %+v", len(list), list[0])
	}
}

func TestKeyStylesAndScopes(t *testing.T) {
	cfg := kafka(t)
	d, _ := node(t, cfg)
	workspace(t, d, "acme")
	write := []Scope{ScopeRevenueWrite}
	for prefix, n := range map[string]NewKey{
		"rsk_": {Workspace: "acme", Scopes: write},
		"rpk_": {Workspace: "acme", Public: true},
		"trk_": {Workspace: "acme", Style: StyleTrackly, Scopes: write},
		"sec_": {Workspace: "acme", Style: StylePulsora, Scopes: write},
		"pub_": {Workspace: "acme", Style: StylePulsora, Public: true},
	} {
		key, text := newKey(t, d, n)
		if !strings.HasPrefix(text, prefix) || len(text) != len(prefix)+32 {
			t.Errorf("%s: %s", prefix, text)
		}
		got, err := d.Authenticate(text)
		if err != nil || got.ID != key.ID || got.Public != n.Public || got.Allows(ScopeRevenueWrite) == n.Public {
			t.Errorf("%s: %+v, %v", prefix, got, err)
		}
	}
	if _, text := newKey(t, d, NewKey{Scopes: []Scope{ScopeAdmin}}); text == "" {
		t.Error("no key of the installation")
	}
	for name, n := range map[string]NewKey{
		"no scope":           {Workspace: "acme"},
		"public with scope":  {Workspace: "acme", Public: true, Scopes: write},
		"unknown scope":      {Workspace: "acme", Scopes: []Scope{"root"}},
		"scope twice":        {Workspace: "acme", Scopes: []Scope{ScopeRead, ScopeRead}},
		"no workspace":       {Scopes: write},
		"public, none":       {Public: true},
		"public trackly":     {Workspace: "acme", Style: StyleTrackly, Public: true},
		"unknown style":      {Workspace: "acme", Style: "x", Scopes: write},
		"negative rate":      {Workspace: "acme", Scopes: write, RatePerSecond: -1},
		"expired from birth": {Workspace: "acme", Scopes: write, ExpiresAt: time.Now().Add(-time.Hour)},
	} {
		n.Name = "x"
		if _, _, err := d.CreateKey(within(t), tester, n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := d.CreateKey(within(t), tester, NewKey{Name: "x", Workspace: "none", Scopes: write}); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown workspace: %v", err)
	}
}

func TestKeysEnd(t *testing.T) {
	cfg := kafka(t)
	var mu sync.Mutex
	now := time.Now()
	reg := prometheus.NewRegistry()
	d, _ := node(t, cfg, WithRegisterer(reg), WithClock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now }))
	other, table := node(t, cfg)
	workspace(t, d, "acme")
	key, text := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}})
	_, expiring := newKey(t, d, NewKey{Workspace: "acme", Scopes: []Scope{ScopeRead}, ExpiresAt: now.Add(time.Hour)})
	if _, err := d.Authenticate(expiring); err != nil {
		t.Fatal(err)
	}
	limited, err := d.LimitKey(within(t), tester, key.ID, 5, 10)
	if err != nil || limited.RatePerSecond != 5 {
		t.Fatalf("%+v, %v", limited, err)
	}
	if got, err := d.Authenticate(text); err != nil || got.Burst != 10 {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := d.LimitKey(within(t), tester, key.ID, -5, 10); !errors.Is(err, ErrInvalid) {
		t.Errorf("negative rate: %v", err)
	}
	if _, err := d.RevokeKey(within(t), tester, key.ID); err != nil {
		t.Fatal(err)
	}
	if err := table.Refresh(within(t)); err != nil {
		t.Fatal(err)
	}
	for name, node := range map[string]*Directory{"this": d, "other": other} {
		if _, err := node.Authenticate(text); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("revoked, on %s node: %v", name, err)
		}
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	if _, err := d.Authenticate(expiring); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("expired: %v", err)
	}
	if _, err := d.RevokeKey(within(t), tester, "key_none"); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoke of none: %v", err)
	}
	for reason, want := range map[string]float64{"revoked": 1, "expired": 1, "unknown": 0} {
		if got := testutil.ToFloat64(d.metrics.denied.WithLabelValues(reason)); got != want {
			t.Errorf("denied{reason=%s} is %v", reason, got)
		}
	}
}

// Bad keys, however many, cost Kafka next to nothing.
func TestBadKeys(t *testing.T) {
	cluster, cfg := fakeKafka(t)
	d, _ := node(t, cfg)
	questions := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Observe: true, Count: -1})
	for _, text := range []string{"", "x", "rsk_", "rsk_" + strings.Repeat("A", 32), "rsk_" + strings.Repeat("0", 33),
		"xyz_" + strings.Repeat("0", 32), "rsk_" + strings.Repeat("0", 32) + "\n"} {
		if _, err := d.Authenticate(text); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got := questions.Hits(); got != 0 {
		t.Errorf("malformed keys asked Kafka %d times", got)
	}
	start := time.Now()
	var group sync.WaitGroup
	for i := range 500 {
		group.Go(func() {
			if _, err := d.Authenticate(fmt.Sprintf("rsk_%032x", i)); !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	group.Wait()
	allowed := 2 + int(time.Since(start)/d.cfg.MissInterval)
	if got := questions.Hits(); got > allowed {
		t.Errorf("500 unknown keys asked Kafka %d times, more than %d", got, allowed)
	}
	before := questions.Hits()
	if _, err := d.Authenticate(fmt.Sprintf("rsk_%032x", 1)); !errors.Is(err, ErrUnauthenticated) || questions.Hits() != before {
		t.Errorf("a bad key again: %v, and %d more questions", err, questions.Hits()-before)
	}
	if got := testutil.ToFloat64(d.metrics.denied.WithLabelValues("unknown")); got != 501 {
		t.Errorf("denied{reason=unknown} is %v", got)
	}
}

func TestTooManyMisses(t *testing.T) {
	cfg := kafka(t)
	limits := DefaultConfig()
	limits.MissesWaitingMax = 1
	d, _ := node(t, cfg, WithConfig(limits))
	if _, err := d.misses.join(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate("rsk_" + strings.Repeat("0", 32)); !errors.Is(err, stream.ErrBusy) {
		t.Errorf("%v", err)
	}
	if got := testutil.ToFloat64(d.metrics.missFailures); got != 1 {
		t.Errorf("miss failures: %v", got)
	}
}
