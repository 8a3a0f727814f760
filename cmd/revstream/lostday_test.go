package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

// lossyProvider is a provider whose deliveries get lost for a day.
type lossyProvider struct {
	name string
	// scenarios are stories of the connector's own tests, each with ids of its own, which
	// begin as ids says.
	scenarios []string
	ids       *regexp.Regexp
	// api has what the bodies tell of, and settings lead an endpoint to it.
	api      func(t *testing.T, bodies []string) http.Handler
	settings []string
	// sign is the header by which a body verifies.
	sign func(t *testing.T, body, secret string) (name, value string)
}

var lossyProviders = []lossyProvider{
	{
		name: "stripe", scenarios: []string{"upgrade_and_downgrade", "refund_of_renewal"}, ids: stripeIDs,
		api:      func(t *testing.T, bodies []string) http.Handler { return stripeAccountOf(t, bodies) },
		settings: []string{"api_key=rk_test"},
		sign: func(t *testing.T, body, secret string) (string, string) {
			return "Stripe-Signature", stampedSignature(t, "t=%d,v1=%s", ".", body, secret)
		},
	},
	{
		name: "paddle", scenarios: []string{"signup_and_renewal", "refunds"}, ids: regexp.MustCompile(`"(ctm|txn|sub|adj|evt)_`),
		api: func(t *testing.T, bodies []string) http.Handler {
			return often(connectortest.PaddleAPI(decoded(t, bodies), 2))
		},
		settings: []string{"api_key=" + connectortest.PaddleKey},
		sign: func(t *testing.T, body, secret string) (string, string) {
			return "Paddle-Signature", stampedSignature(t, "ts=%d;h1=%s", ":", body, secret)
		},
	},
	{
		name: "chargebee", scenarios: []string{"signup_and_renewal", "first_api"}, ids: regexp.MustCompile(`"(cust|txn|sub|inv|ev)_`),
		api: func(t *testing.T, bodies []string) http.Handler {
			return often(connectortest.ChargebeeAPI(t, decoded(t, bodies), 2))
		},
		settings: []string{"api_key=" + connectortest.ChargebeeKey, "currency=USD"},
		sign: func(_ *testing.T, _, secret string) (string, string) {
			return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(secret))
		},
	},
}

// often has an API refuse and fail often.
func often(api *connectortest.API) http.Handler {
	api.Fail = func(n int64) int {
		switch {
		case n%3 == 0:
			return http.StatusTooManyRequests
		case n%7 == 0:
			return -1
		default:
			return 0
		}
	}
	return api
}

func stampedSignature(t *testing.T, format, separator, body, secret string) string {
	now := time.Now().Unix()
	signature, err := connectors.HMAC{}.Sign(secret, []byte(strconv.FormatInt(now, 10)), []byte(separator), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(format, now, signature)
}

func decoded(t *testing.T, bodies []string) []map[string]any {
	t.Helper()
	objects := make([]map[string]any, len(bodies))
	for i, body := range bodies {
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&objects[i]); err != nil {
			t.Fatal(err)
		}
	}
	return objects
}

// toldBy are the bodies of a provider's scenarios, the last three days back.
func toldBy(t *testing.T, provider string, ids *regexp.Regexp, scenarios ...string) []string {
	t.Helper()
	var bodies []string
	for i, name := range scenarios {
		text, err := os.ReadFile(filepath.Join(moduleRoot, "connectors", provider, "testdata/scenarios", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var scenario recordedScenario
		if err := json.Unmarshal(text, &scenario); err != nil {
			t.Fatal(err)
		}
		for _, delivery := range scenario.Deliveries {
			bodies = append(bodies, ids.ReplaceAllString(string(delivery.Body), fmt.Sprintf(`"${1}_%d`, i)))
		}
	}
	return atRecent(t, bodies)
}

// happened is when the event of a body happened.
func happened(t *testing.T, body string) time.Time {
	event := connectors.Object(decoded(t, []string{body})[0])
	at, known := connectors.Happened(event, "occurred_at", "created")
	if !known {
		t.Fatalf("no time in %s", body)
	}
	return at
}

// The ways in which the scenarios write times: Unix seconds and milliseconds, and ISO 8601.
var (
	unixStamp = regexp.MustCompile(`\b17[67]\d{7}(000)?\b`)
	isoStamp  = regexp.MustCompile(`"2026-\d\d-\d\dT[0-9:.]+Z"`)
)

// atRecent moves all times so that the last event lies three days back.
func atRecent(t *testing.T, bodies []string) []string {
	latest := slices.MaxFunc(bodies, func(a, b string) int { return happened(t, a).Compare(happened(t, b)) })
	shift := time.Since(happened(t, latest)).Truncate(time.Second) - 72*time.Hour
	moved := make([]string, len(bodies))
	for i, body := range bodies {
		body = unixStamp.ReplaceAllStringFunc(body, func(text string) string {
			n, _ := strconv.ParseInt(text, 10, 64)
			if len(text) > 10 {
				return strconv.FormatInt(n+shift.Milliseconds(), 10)
			}
			return strconv.FormatInt(n+int64(shift.Seconds()), 10)
		})
		moved[i] = isoStamp.ReplaceAllStringFunc(body, func(text string) string {
			at, err := time.Parse(`"`+time.RFC3339Nano+`"`, text)
			if err != nil {
				t.Fatal(err)
			}
			return at.Add(shift).Format(`"` + time.RFC3339Nano + `"`)
		})
	}
	return moved
}

// lostDay are the bodies that are heard when the day with the most events is lost.
func lostDay(t *testing.T, bodies []string) (heard []string) {
	t.Helper()
	within := func(body, first string) bool {
		since := happened(t, body).Sub(happened(t, first))
		return since >= 0 && since < 24*time.Hour
	}
	lostFrom := func(first string) (n int) {
		for _, body := range bodies {
			if within(body, first) {
				n++
			}
		}
		return n
	}
	first := slices.MaxFunc(bodies, func(a, b string) int { return cmp.Compare(lostFrom(a), lostFrom(b)) })
	heard = slices.DeleteFunc(slices.Clone(bodies), func(body string) bool { return within(body, first) })
	if len(heard) == 0 || len(heard) == len(bodies) {
		t.Fatalf("%d of %d deliveries are heard", len(heard), len(bodies))
	}
	return heard
}

// checkLostDays has each provider that has a past send everything, twice and in any order,
// to one workspace, and lose a day to another; which is then backfilled, and has the same
// ledger.
func checkLostDays(t *testing.T, s *service) {
	for _, p := range lossyProviders {
		t.Run("a day of "+p.name+" is lost", func(t *testing.T) {
			bodies := toldBy(t, p.name, p.ids, p.scenarios...)
			api := httptest.NewServer(p.api(t, bodies))
			defer api.Close()
			settings := append(slices.Clone(p.settings), "api_url="+api.URL)
			whole, _ := p.tell(t, s, p.name+"-whole", settings, bodies)
			lossy, endpoint := p.tell(t, s, p.name+"-lossy", settings, lostDay(t, bodies))
			s.revstream(exitOK, "check", "--wait", "20s")
			want := s.entries(whole)
			if got := s.entries(lossy); got == want || want == "" {
				t.Fatalf("nothing was lost: %s", got)
			}
			s.revstream(exitOK, "backfill", "--endpoint", endpoint, "--since", time.Now().AddDate(0, 0, -80).UTC().Format(time.DateOnly), "--per-second", "1000")
			s.await("the ledger of no outage", 30*time.Second, func() error {
				if got := s.entries(lossy); got != want {
					return fmt.Errorf("after the backfill\n%s\nwithout an outage\n%s", got, want)
				}
				return nil
			})
		})
	}
}

// tell posts bodies to a new endpoint of a new workspace, each twice and in any order, again
// and again until they are taken.
func (p lossyProvider) tell(t *testing.T, s *service, workspace string, settings, bodies []string) (id, endpoint string) {
	t.Helper()
	var made struct{ ID string }
	s.decode(s.revstream(exitOK, "workspaces", "create", workspace, "--currency", "USD", "--json"), &made)
	arguments := []string{"endpoints", "create", "--workspace", workspace, "--provider", p.name, "--json"}
	for _, setting := range settings {
		arguments = append(arguments, "--setting", setting)
	}
	secret := "user:of-" + workspace // as Chargebee's are; to the others any text is one
	var e struct{ ID, URL string }
	s.decode(s.revstreamOn(secret, exitOK, append(arguments, "--secret-stdin")...), &e)
	sent := append(slices.Clone(bodies), bodies...)
	rand.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	for _, body := range sent {
		name, value := p.sign(t, body, secret)
		s.await("a delivery that is taken", 20*time.Second, func() error {
			status, answer, err := s.client.send(call{method: http.MethodPost, path: e.URL, body: body, header: map[string]string{name: value, "X-Api-Key": ""}})
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("%d %s %w", status, answer, err)
			}
			return nil
		})
	}
	return made.ID, e.ID
}

// entries are what a workspace's ledger believes, an entry a line.
func (s *service) entries(workspace string) string {
	s.t.Helper()
	place, err := loadPlaces(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer := s.sqlAs(place.ClickHouseUser, place.ClickHousePasswd, fmt.Sprintf(`SELECT fact, kind, amount, tax, mrr, currency, occurred_at, sum(sign) AS times
		FROM entries WHERE workspace = '%s' GROUP BY ALL HAVING times != 0 ORDER BY ALL`, workspace))
	if status != http.StatusOK {
		s.t.Fatal(answer)
	}
	return answer
}
