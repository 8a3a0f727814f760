package simulation

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"
)

// Door is a way into the service.
type Door string

// The doors.
const (
	DoorTrackly     Door = "trackly"
	DoorThriveStack Door = "thrivestack"
	DoorPulsora     Door = "pulsora"
	DoorNative      Door = "native"
	DoorStripe      Door = "stripe"
)

// Doors lists every door.
var Doors = []Door{DoorTrackly, DoorThriveStack, DoorPulsora, DoorNative, DoorStripe}

// Options say what is played, how it is delivered, and where to.
type Options struct {
	// URL is the base address of the service, and QuestionsURL that of its answers
	// if they are given elsewhere.
	URL, QuestionsURL string
	// SecretKey is an API key of the workspace that may write and read.
	SecretKey string
	// Workspace is the slug of the key's workspace.
	Workspace string
	// StripeEndpoint is the id of a Stripe endpoint of the workspace, and
	// StripeSecret the secret that its deliveries are signed with. Both are needed
	// for DoorStripe only.
	StripeEndpoint, StripeSecret string

	// Seed decides what happens, Run begins every id: the same Seed, Run, Until and
	// shares give the same stories. Two runs against one workspace need different
	// Runs, or the second is a repetition of the first and adds nothing. An empty
	// Run is made up.
	Seed uint64
	Run  string
	// Events is how many events to send, counting no repetition; Duration, if
	// positive, goes before it and ends the run after that time instead. Stories
	// that have begun are told to their end.
	Events   int
	Duration time.Duration
	// Until is the end of the history that is played, and Years its length; a zero
	// Until is the start of the run.
	Until time.Time
	Years int
	// Currency of all amounts. It should be that of the workspace, in which it sums
	// up.
	Currency string
	// Doors to use; none means all.
	Doors []Door

	// Rate bounds the events sent per second; 0 is as fast as possible.
	Rate float64
	// Workers is how many deliveries are under way at a time.
	Workers int
	// Duplicates is the share of deliveries that are sent more than once, Disorder
	// of those that come late and so after later ones, Corrections of the facts
	// that are amended or deleted afterwards.
	Duplicates, Disorder, Corrections float64
	// Window is how many deliveries late one can come; one in a hundred of the late
	// ones is ten times as late.
	Window int

	// Patience is how long one delivery is tried, and one question asked, while the
	// service is away or busy. After that the outcome is unknown and the run fails.
	Patience time.Duration
	// RequestTimeout bounds one attempt.
	RequestTimeout time.Duration
	// Verify compares the answers with the truth; SettleTimeout is how long to wait
	// for the service to have taken in what it acknowledged.
	Verify        bool
	SettleTimeout time.Duration
	// OwnClock says that the service runs on this machine: then when it acknowledged
	// is known without waiting for the next second of its Date.
	OwnClock bool

	// Output is where progress goes, nowhere if nil; Terminal says that it is one,
	// and gets a bar instead of lines.
	Output   io.Writer
	Terminal bool
}

// DefaultOptions are those of the command: some ten thousand events of two years
// as fast as the service takes them.
func DefaultOptions() Options {
	return Options{
		URL: "http://127.0.0.1:8080", Workspace: "demo", Currency: "USD",
		Seed: 1, Events: 10_000, Years: 2, Workers: 16,
		Duplicates: 0.1, Disorder: 0.3, Corrections: 0.05, Window: 500,
		Patience: 2 * time.Minute, RequestTimeout: 90 * time.Second,
		Verify: true, SettleTimeout: 5 * time.Minute,
	}
}

// Validate says everything that is wrong with the options.
func (o Options) Validate() error {
	var problems []error
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	address, err := url.Parse(o.URL)
	complain(err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "", "url %q: want http://host:port", o.URL)
	complain(o.SecretKey == "", "secret key: none given")
	complain(o.Workspace == "", "workspace: none given")
	complain(len(o.Currency) != 3, "currency %q: want an ISO 4217 code", o.Currency)
	for _, door := range o.Doors {
		complain(!slices.Contains(Doors, door), "door %q: want some of %v", door, Doors)
	}
	complain(o.uses(DoorStripe) && (o.StripeEndpoint == "" || o.StripeSecret == ""), "stripe endpoint and secret: the stripe door needs both")
	complain(o.Events <= 0 && o.Duration <= 0, "events %d: must be positive", o.Events)
	complain(o.Years < 1 || o.Years > 20, "years %d: want 1 to 20", o.Years)
	complain(o.Workers < 1 || o.Workers > 1000, "workers %d: want 1 to 1000", o.Workers)
	complain(o.Window < 1, "window %d: must be positive", o.Window)
	complain(o.Rate < 0, "rate %v: cannot be negative", o.Rate)
	for name, share := range map[string]float64{"duplicates": o.Duplicates, "disorder": o.Disorder, "corrections": o.Corrections} {
		complain(!(share >= 0 && share <= 1), "%s %v: want 0 to 1", name, share)
	}
	for name, limit := range map[string]time.Duration{"patience": o.Patience, "request timeout": o.RequestTimeout, "settle timeout": o.SettleTimeout} {
		complain(limit <= 0, "%s %v: must be positive", name, limit)
	}
	return errors.Join(problems...)
}

func (o Options) uses(door Door) bool {
	return len(o.Doors) == 0 || slices.Contains(o.Doors, door)
}

// span is the history that is played: [begin, end).
type span struct {
	begin, end time.Time
}

func (o Options) span() span {
	end := o.Until.UTC().Truncate(time.Second)
	return span{end.AddDate(-o.Years, 0, 0), end}
}
