package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A payment is told to whoever listens as soon as it is stored, figures follow, and when
// the service stops the stream ends in order and holds nothing up.
func TestServiceTellsAStream(t *testing.T) {
	t.Parallel()
	s := startService(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/stream?workspaceSlug="+s.client.workspace, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", s.client.secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", response, err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	await := func(text string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("waiting for %s: %v", text, err)
			}
			if strings.Contains(line, text) {
				return
			}
		}
	}
	await("event: figures") // else they might have the payment before it is told
	now := time.Now().UTC().Format(time.RFC3339)
	s.client.must(call{method: http.MethodPost, path: "/v1/events", status: http.StatusAccepted,
		body: `{"kind":"charge","object_id":"heard_1","amount":4711,"currency":"USD","occurred_at":"` + now + `","version":1}`})
	await(`"amountCents":4711`)
	await("id: ")
	await(`"grossRevenueCents":4711`)
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, lines)
		ended <- err
	}()
	began := time.Now()
	s.stop()
	if err := <-ended; err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
