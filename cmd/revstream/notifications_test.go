package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Somebody who asks to be told of refunds is told of one, by whatever process runs
// when they can be reached: the service is killed between the refund and the receiver's
// first yes.
func TestSubscribersAreTold(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	var mu sync.Mutex
	ids, bodies, headers := []string{}, []string{}, []http.Header{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		text, _ := io.ReadAll(request.Body)
		mu.Lock()
		defer mu.Unlock()
		ids, bodies, headers = append(ids, request.Header.Get("webhook-id")), append(bodies, string(text)), append(headers, request.Header)
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer receiver.Close()
	arrived := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(ids)
	}
	folder := t.TempDir()
	own := []string{"REVSTREAM_ALERTS_ALLOW_PRIVATE=true", "REVSTREAM_ALERTS_LOOK_INTERVAL=200ms", "REVSTREAM_ALERTS_BACKOFF_MIN=500ms", "REVSTREAM_ALERTS_BACKOFF_MAX=1s"}
	s := startServiceOn(t, folder, realKafka(folder), own...)
	var alert struct{ ID, Secret string }
	created := s.revstream(exitOK, "alerts", "create", "--workspace", demoWorkspace, "--url", receiver.URL+"/hook", "--on", "refunds", "--minimum", "USD=400", "--json")
	if err := json.Unmarshal([]byte(created), &alert); err != nil {
		t.Fatalf("%v in %s", err, created)
	}
	s.client.must(call{method: http.MethodPost, path: "/v1/events", status: http.StatusAccepted,
		body: `[{"object_id":"order_1","kind":"charge","amount_decimal":"10.00","currency":"USD"},
			{"object_id":"small","kind":"refund","original":"order_1","amount_decimal":"3.99","currency":"USD"},
			{"object_id":"large","kind":"refund","original":"order_1","amount_decimal":"4.00","currency":"USD"}]`})
	logged := func(state string) func() error {
		return func() error {
			var log struct {
				Items []struct {
					ID, State string
					Attempts  []struct{ Status int }
				}
			}
			_, answer, err := s.client.get("/v1/alerts/notifications?workspaceSlug=" + demoWorkspace + "&alert=" + alert.ID)
			if err == nil {
				err = json.Unmarshal(answer, &log)
			}
			if err != nil || len(log.Items) != 1 || log.Items[0].State != state ||
				len(log.Items[0].Attempts) == 0 || log.Items[0].Attempts[0].Status != http.StatusBadGateway {
				return fmt.Errorf("%w: %s", cmp.Or(err, io.EOF), answer)
			}
			return nil
		}
	}
	// Killed any earlier, and nobody would know of the attempt.
	s.await("an attempt in the log", 30*time.Second, logged("pending"))
	s.kill()
	down.Store(false)
	before := arrived()
	s = startServiceOn(t, folder, realKafka(folder), own...)
	s.await("the notification", 60*time.Second, func() error {
		if arrived() == before {
			return io.EOF
		}
		return nil
	})
	mu.Lock()
	verifier, err := standardwebhooks.NewWebhook(alert.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		if ids[i] != ids[0] || !strings.Contains(bodies[i], `"refundCents":400`) {
			t.Errorf("%d: %s %s, and first %s", i, ids[i], bodies[i], ids[0])
		}
		if err := verifier.Verify([]byte(bodies[i]), headers[i]); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	mu.Unlock()
	s.await("the log", 30*time.Second, logged("delivered"))
	s.revstream(exitOK, "alerts", "redeliver", alert.ID, ids[0])
	s.revstream(exitOK, "alerts", "test", alert.ID)
	s.await("the test", 30*time.Second, func() error {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(bodies[len(bodies)-1], `"type":"test"`) || ids[len(ids)-2] != ids[0] {
			return io.EOF
		}
		return nil
	})
	if log := s.revstream(exitOK, "alerts", "log", "--workspace", demoWorkspace); strings.Count(log, "\n") != 3 || !strings.Contains(log, "refund.made") {
		t.Errorf("the log is\n%s", log)
	}
	if list := s.revstream(exitOK, "alerts", "list", "--workspace", demoWorkspace); !strings.Contains(list, "from map[USD:400]") || strings.Contains(list, alert.Secret) {
		t.Errorf("the list is\n%s", list)
	}
	s.revstream(exitOK, "alerts", "delete", alert.ID)
	s.revstream(exitFailure, "alerts", "test", alert.ID)
	s.stop()
}
