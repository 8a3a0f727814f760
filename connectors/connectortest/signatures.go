package connectortest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// serveAlways answers every request with the same object.
func serveAlways(t testing.TB, object []byte) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(object) }))
	t.Cleanup(server.Close)
	return server.URL
}

// refusal is a way in which a delivery can fail to verify.
type refusal struct {
	name string
	// spoil is given a delivery that verifies.
	spoil func(*connectors.Delivery)
	// applies says whether the connector can tell.
	applies bool
}

func (k Kit) refusals() []refusal {
	resign := func(secret string, at time.Time) func(*connectors.Delivery) {
		return func(d *connectors.Delivery) { k.Sign(d, secret, at) }
	}
	secrets := func(secrets ...string) func(*connectors.Delivery) {
		return func(d *connectors.Delivery) { d.Secrets = secrets }
	}
	return []refusal{
		{"signed with another secret", resign(k.Other, ReceivedAt), true},
		{"no secret", secrets(), true},
		{"another secret", secrets(k.Other), true},
		{"empty secret", func(d *connectors.Delivery) {
			k.Sign(d, "", ReceivedAt)
			d.Secrets = []string{"", " "}
		}, true},
		{"blank secret", func(d *connectors.Delivery) {
			k.Sign(d, " ", ReceivedAt)
			d.Secrets = []string{" "}
		}, true},
		{"signed long before", resign(k.Secret, ReceivedAt.Add(-2*time.Hour)), k.Timed},
		{"signed long after", resign(k.Secret, ReceivedAt.Add(2*time.Hour)), k.Timed},
		{"signed a year after", resign(k.Secret, ReceivedAt.AddDate(1, 0, 0)), k.Timed},
		{"truncated", func(d *connectors.Delivery) { d.Body = d.Body[:len(d.Body)-2] }, !k.Bodiless},
		{"empty body", func(d *connectors.Delivery) { d.Body = nil }, !k.Bodiless},
		{"compressed without saying so", func(d *connectors.Delivery) { d.Body = compress(d.Body) }, !k.Bodiless},
	}
}

// runSignatures spoils the first delivery of the first scenario in every way.
func (k Kit) runSignatures(t *testing.T) {
	prepare := func(t *testing.T) connectors.Delivery { return Load(t, ".")[0].prepare(t, k.Connector, k.Settings)[0] }
	t.Run("not signed", func(t *testing.T) {
		d := prepare(t)
		d.Secrets = []string{k.Secret}
		k.expectRefused(t, d)
	})
	for _, r := range k.refusals() {
		if !r.applies {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			d := prepare(t)
			k.sign(&d, k.Secret, ReceivedAt)
			r.spoil(&d)
			k.expectRefused(t, d)
		})
	}
	t.Run("verifies with either secret while one is rotated", func(t *testing.T) {
		for position, secret := range []string{k.Secret, k.Other} {
			d := prepare(t)
			k.sign(&d, secret, ReceivedAt)
			d.Secrets = []string{k.Secret, "", k.Other}
			verification, _, err := k.Connector.Receive(t.Context(), d)
			if err != nil || verification.Secret != 2*position {
				t.Errorf("%+v, %v", verification, err)
			}
		}
	})
	t.Run("compressed on its way", func(t *testing.T) {
		d := prepare(t)
		k.sign(&d, k.Secret, ReceivedAt)
		d.Wire = compress(d.Body)
		if _, _, err := k.Connector.Receive(t.Context(), d); err != nil {
			t.Error(err)
		}
	})
	t.Run("replayed", func(t *testing.T) {
		d := prepare(t)
		k.sign(&d, k.Secret, ReceivedAt)
		var first, twice []revenue.Event
		for range 2 {
			_, items, err := k.Connector.Receive(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				twice = append(twice, item.Events...)
			}
			if first == nil {
				first = twice
			}
			d.ReceivedAt = d.ReceivedAt.Add(time.Minute)
		}
		if len(revenue.Distinct(twice)) != len(revenue.Distinct(first)) {
			t.Errorf("a delivery that came twice says %d things, not %d", len(revenue.Distinct(twice)), len(revenue.Distinct(first)))
		}
	})
}

func (k Kit) expectRefused(t *testing.T, d connectors.Delivery) {
	t.Helper()
	_, items, err := k.Connector.Receive(t.Context(), d)
	if !errors.Is(err, connectors.ErrBadSignature) || len(items) != 0 {
		t.Errorf("%d items, %v; want a refusal", len(items), err)
	}
	if refused := new(connectors.SignatureError); !errors.As(err, &refused) || refused.Reason == "" {
		t.Errorf("the refusal has no reason: %v", err)
	}
}

func compress(text []byte) []byte {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, _ = writer.Write(text) // a buffer takes everything
	_ = writer.Close()
	return buffer.Bytes()
}
