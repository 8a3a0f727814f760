package stripe

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// FuzzDecode signs whatever comes and checks that it is either refused as
// malformed or yields statements that the rest of the system can take.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob(filepath.Join("testdata", "scenarios", "*.json"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		for _, event := range loadScenario(f, strings.TrimSuffix(filepath.Base(path), ".json")).Events {
			f.Add(event.body(f, "evt_1"))
		}
	}
	decode := decodeWith(New(DefaultConfig(), nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		decoded, err := decode(t.Context(), delivery(body))
		if err != nil {
			if !errors.Is(err, connectors.ErrMalformed) || len(decoded.Events) != 0 {
				t.Fatalf("%d statements, %v", len(decoded.Events), err)
			}
			return
		}
		if decoded.Ignored() != (len(decoded.Events) == 0) {
			t.Fatalf("ignored %v with %d statements", decoded.Ignored(), len(decoded.Events))
		}
		again, err := decode(t.Context(), delivery(body))
		if err != nil || !reflect.DeepEqual(decoded, again) {
			t.Fatalf("decoded differently the second time: %v", err)
		}
		for i := range decoded.Events {
			checkStatement(t, &decoded.Events[i])
		}
		revenue.Ledger(decoded.Events)
	})
}

func checkStatement(t *testing.T, e *revenue.Event) {
	t.Helper()
	if e.Workspace != "acme" || e.Provider != Provider || e.ObjectID == "" || e.Group == "" || strings.HasSuffix(e.Group, "|") || e.ExternalID == "" && e.Kind != revenue.KindLink {
		t.Errorf("identity: %+v", e)
	}
	for _, amount := range []int64{e.Amount, e.Tax, e.Fee, e.Discount} {
		if amount < 0 || amount > revenue.AmountMax {
			t.Errorf("amount %d of %+v", amount, e)
		}
	}
	if _, known := revenue.Exponent(e.Currency); !known && e.Amount != 0 {
		t.Errorf("currency %q", e.Currency)
	}
	if e.Version <= 0 && e.Kind != revenue.KindRefund {
		t.Errorf("version %d of %s", e.Version, e.FactID())
	}
	if e.OccurredAt.Before(connectors.OccurredMin()) || !e.ReceivedAt.Equal(testReceivedAt) {
		t.Errorf("times of %+v", e)
	}
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
}
