package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// forgetful is a service that acknowledges everything and remembers nothing.
func forgetful(t *testing.T) (Options, *atomic.Int64) {
	t.Helper()
	taken := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			taken.Add(1)
			return
		}
		w.Header().Set(headerCompleteThrough, time.Now().Add(time.Minute).Format(time.RFC3339Nano))
		if r.URL.Path == endpointRevenue {
			fmt.Fprint(w, `{"total":0,"summary":{"currency":"USD"}}`)
			return
		}
		fmt.Fprint(w, `{"currency":"USD","total":{"converted":{"grossRevenueCents":0}},"series":[]}`)
	}))
	t.Cleanup(server.Close)
	o := testOptions(4, DoorStripe)
	o.URL, o.Events = server.URL, 400
	return o, taken
}

func TestRunTellsEverythingOnce(t *testing.T) {
	o, taken := forgetful(t)
	o.Verify = false
	report, err := Run(context.Background(), o)
	if err != nil || len(report.Failures) != 0 {
		t.Fatalf("%v, failures %v", err, report.Failures)
	}
	if report.Events < 400 || report.Repeated == 0 || report.Deliveries != report.Events+report.Repeated || taken.Load() != report.Deliveries {
		t.Errorf("%d events, %d repeated, %d deliveries, of which %d arrived", report.Events, report.Repeated, report.Deliveries, taken.Load())
	}
	again, err := Run(context.Background(), o)
	if err != nil || again.Events != report.Events || again.Deliveries != report.Deliveries || again.Stories != report.Stories {
		t.Errorf("the same run told %+v, and then %+v, %v", report, again, err)
	}
}

func TestRunFindsWhatIsForgotten(t *testing.T) {
	o, _ := forgetful(t)
	report, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Exact() || len(report.Differences) == 0 {
		t.Errorf("a service that remembers nothing agrees in %d figures", report.Compared)
	}
	var out strings.Builder
	report.Print(&out)
	if !strings.Contains(out.String(), "DIFFERENCE /revenue") {
		t.Errorf("the report names no difference:\n%s", out.String())
	}
}

func TestRunEndsWhenCutOff(t *testing.T) {
	o, _ := forgetful(t)
	o.Verify, o.Duration = false, time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cut off, it ended with %v", err)
	}
}

func TestPlayGoesOnInActs(t *testing.T) {
	o, taken := forgetful(t)
	o.OwnClock = true
	p, err := Begin(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	told := int64(0)
	for act := range 3 {
		if err := p.Tell(t.Context(), 50); err != nil {
			t.Fatal(err)
		}
		report := p.Report()
		if report.Events < told+50 || taken.Load() != report.Deliveries {
			t.Errorf("act %d: %d events after %d; %d deliveries, of which %d arrived", act, report.Events, told, report.Deliveries, taken.Load())
		}
		told = report.Events
	}
	if err := p.CompareBriefly(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report := p.Report(); report.Compared == 0 || len(report.Differences) == 0 {
		t.Errorf("a service that remembers nothing agrees in %d figures", report.Compared)
	}
}

func TestRateIsSteady(t *testing.T) {
	o, _ := forgetful(t)
	o.Verify, o.Rate, o.Events, o.Duplicates = false, 400, 120, 0
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// All but the first tenth of a second's worth has to wait.
	if least := time.Duration(report.Events-40) * time.Second / 400; report.Took < least {
		t.Errorf("%d events at 400 a second took %v, less than %v", report.Events, report.Took, least)
	}
}
