package connectors

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

func TestSettle(t *testing.T) {
	c := Connector{Provider: "p", Settings: []Setting{
		{Name: "api_url", Default: "https://api.example.com", Check: IsBaseURL}, {Name: "api_key", Required: true, Secret: true, About: "The key."},
		{Name: "age", Default: "5m", Check: Between(time.Second, time.Hour)}, {Name: "both", Check: IsFlag}, {Name: "note"},
	}}
	settled, err := c.Settle(map[string]string{"api_key": "k", "both": "true", "api_url": "http://127.0.0.1:8080/v1"})
	if err != nil || settled.Duration("age") != 5*time.Minute || !settled.Flag("both") || settled["api_url"] != "http://127.0.0.1:8080/v1" || settled["note"] != "" {
		t.Errorf("%v, %v", settled, err)
	}
	for name, given := range map[string]map[string]string{
		"api_key is required": {},
		"5d":                  {"api_key": "k", "age": "5d"},
		"2h":                  {"api_key": "k", "age": "2h"},
		"true, false":         {"api_key": "k", "both": "yes"},
		`no setting "x"`:      {"api_key": "k", "x": "y"},
		"https":               {"api_key": "k", "api_url": "http://example.com"},
		"like https":          {"api_key": "k", "api_url": "https://user:secret@example.com"},
	} {
		if _, err := c.Settle(given); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v", given, err)
		}
	}
}

func TestHMAC(t *testing.T) {
	// RFC 4231, test case 2.
	h := HMAC{}
	signature, err := h.Sign("Jefe", []byte("what do ya want "), []byte("for nothing?"))
	if err != nil || signature != "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" {
		t.Errorf("%s, %v", signature, err)
	}
	for name, c := range map[string]struct {
		secrets, signatures []string
		reason              Reason
	}{
		"good":              {[]string{"Jefe"}, []string{signature}, ""},
		"upper case":        {[]string{"Jefe"}, []string{strings.ToUpper(signature)}, ""},
		"second signature":  {[]string{"", "Jefe"}, []string{"zz", "00", signature}, ""},
		"none":              {[]string{"Jefe"}, nil, ReasonMissing},
		"empty":             {[]string{"Jefe"}, []string{""}, ReasonUnreadable},
		"no hexadecimal":    {[]string{"Jefe"}, []string{"zz"}, ReasonUnreadable},
		"the beginning":     {[]string{"Jefe"}, []string{signature[:62]}, ReasonMismatch},
		"another secret":    {[]string{"Jeff"}, []string{signature}, ReasonMismatch},
		"no secret":         {nil, []string{signature}, ReasonNoSecret},
		"only blank secret": {[]string{" "}, []string{signature}, ReasonNoSecret},
	} {
		_, err := h.Verify(c.secrets, c.signatures, []byte("what do ya want for nothing?"))
		refused := new(SignatureError)
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason || !errors.Is(err, ErrBadSignature)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A key that cannot be read verifies nothing, not even with an empty key.
	keyed := HMAC{Key: base64.StdEncoding.DecodeString, Base64: true}
	empty, _ := HMAC{Base64: true}.Sign("", []byte("x"))
	if _, err := keyed.Verify([]string{"%%%"}, []string{empty}, []byte("x")); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a secret that is not base64: %v", err)
	}
}

func TestSignedAtAndFresh(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"1767225600": at, "1767225600123": at.Add(123 * time.Millisecond)} {
		if got, err := SignedAt(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "now", "-1", "1e9", "99999999999999999999"} {
		if _, err := SignedAt(text); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for distance, wants := range map[time.Duration]Reason{
		0: "", -time.Minute: "", time.Minute: "", -2 * time.Minute: ReasonTooOld, 2 * time.Minute: ReasonFromFuture,
		-1000000 * time.Hour: ReasonTooOld, 1000000 * time.Hour: ReasonFromFuture,
	} {
		err := Fresh(at.Add(distance), at, time.Minute)
		if refused := new(SignatureError); wants == "" && err != nil || wants != "" && (!errors.As(err, &refused) || refused.Reason != wants) {
			t.Errorf("%v: %v", distance, err)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	request := http.Request{Header: http.Header{}}
	request.SetBasicAuth("user", "pass:word")
	for secret, reason := range map[string]Reason{"user:pass:word": "", "user:pass": ReasonMismatch, "": ReasonNoSecret} {
		_, err := BasicAuth(Delivery{Header: request.Header, Secrets: []string{secret}})
		if refused := new(SignatureError); reason == "" && err != nil || reason != "" && (!errors.As(err, &refused) || refused.Reason != reason) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if _, err := BasicAuth(Delivery{Secrets: []string{"user:pass"}}); !errors.Is(err, ErrBadSignature) {
		t.Errorf("without a header: %v", err)
	}
}

func TestReceiveClasses(t *testing.T) {
	unreachable := errors.New("unreachable")
	for name, c := range map[string]struct {
		verify, decode error
		outcome        Outcome
		err            error
	}{
		"booked":      {nil, nil, OutcomeBooked, nil},
		"quarantined": {nil, ErrMalformed, OutcomeQuarantined, nil},
		"retried":     {nil, unreachable, "", unreachable},
		"rejected":    {Refuse(ReasonMissing, "no"), nil, "", ErrBadSignature},
	} {
		connector := Connector{
			Verify: func(Delivery) (Verification, error) { return Verification{}, c.verify },
			Decode: func(context.Context, Delivery) ([]Item, error) {
				return []Item{{Events: []revenue.Event{{}}}}, c.decode
			},
		}
		_, items, err := connector.Receive(t.Context(), Delivery{})
		if !errors.Is(err, c.err) || c.outcome != "" && (len(items) != 1 || items[0].Outcome() != c.outcome) {
			t.Errorf("%s: %+v, %v", name, items, err)
		}
	}
}

func TestItemsThatDoNotVerify(t *testing.T) {
	decoded := []Item{{ID: "a"}, {ID: "b"}}
	var refused map[int]error
	connector := Connector{
		Verify: func(Delivery) (Verification, error) { return Verification{Refused: refused}, nil },
		Decode: func(context.Context, Delivery) ([]Item, error) { return slices.Clone(decoded), nil },
	}
	forged := Refuse(ReasonMismatch, "forged")
	refused = map[int]error{1: forged, 7: forged} // the last of no item
	_, items, err := connector.Receive(t.Context(), Delivery{})
	if err != nil || len(items) != 2 || items[0].Outcome() != OutcomeIgnored || items[1].Outcome() != OutcomeRefused || items[1].ID != "b" {
		t.Errorf("%+v, %v", items, err)
	}
	refused = map[int]error{0: forged, 1: forged}
	if _, items, err := connector.Receive(t.Context(), Delivery{}); !errors.Is(err, ErrBadSignature) || len(items) != 0 {
		t.Errorf("nothing verifies, and yet %+v, %v", items, err)
	}
}

func TestFetch(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "key" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"message":"may not read this"}}`))
			return
		}
		switch r.URL.RequestURI() {
		case "/v1/payments/PM%2F1?expand=fees":
			_, _ = w.Write([]byte(`{"id":"PM/1","amount":9007199254740993}`))
		case "/v1/moved":
			http.Redirect(w, r, "/v1/payments/PM%2F1?expand=fees", http.StatusFound)
		case "/v1/broken":
			_, _ = w.Write([]byte(`{`))
		case "/v1/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	withKey := func(r *http.Request) { r.SetBasicAuth("key", "") }
	answers := &Answers{}
	object, err := Client{Answers: answers}.Fetch(t.Context(), server.URL+"/v1/", "/payments/PM%2F1?expand=fees", withKey)
	if err != nil || object.Literal("amount") != "9007199254740993" {
		t.Errorf("%v, %v", object, err)
	}
	for path, malformed := range map[string]bool{"/none": true, "/broken": true, "/moved": false, "/busy": false} {
		if _, err := (Client{Answers: answers}).Fetch(t.Context(), server.URL+"/v1", path, withKey); err == nil || errors.Is(err, ErrMalformed) != malformed || errors.As(err, new(*RefusedError)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	var refused *RefusedError
	if _, err := (Client{}).Fetch(t.Context(), server.URL+"/v1", "/none?id=1", func(*http.Request) {}); !errors.As(err, &refused) || errors.Is(err, ErrMalformed) {
		t.Errorf("a refused key: %v", err)
	} else if want := (RefusedError{"/none", http.StatusUnauthorized, "may not read this"}); *refused != want || ReasonOf(err) != ReasonAPIRefused {
		t.Errorf("%+v, want %+v", *refused, want)
	}
	server.Config.Handler = http.NotFoundHandler()
	again := Client{Answers: NewAnswers(answers.Kept())}
	if object, err := again.Fetch(t.Context(), server.URL+"/v1/", "/payments/PM%2F1?expand=fees", withKey); err != nil || object.Literal("amount") != "9007199254740993" {
		t.Errorf("with the answers of before %v, %v", object, err)
	}
	if object, err := again.Recall("/payments/PM%2F1?expand=fees"); err != nil || object.Literal("amount") != "9007199254740993" {
		t.Errorf("recalled %v, %v", object, err)
	}
	if _, err := again.Recall("/none?of=it"); !errors.As(err, &refused) || refused.Path != "/none" || refused.Status != http.StatusUnauthorized {
		t.Errorf("recalled what was never said: %v", err)
	}
	if kept := again.Answers.Kept(); len(kept) != 1 { // neither what was refused, nor what was not there
		t.Errorf("kept %v", kept)
	}
	server.Close()
	if _, err := (Client{}).Fetch(t.Context(), server.URL, "/x", withKey); err == nil || errors.Is(err, ErrMalformed) {
		t.Errorf("an API that is down is not temporary: %v", err)
	}
}

func TestReaderAmounts(t *testing.T) {
	o, err := ParseObject([]byte(`{"cents":"1234","whole":1234,"part":5,"major":"12.34","long":12.345,"negative":-5,"text":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	read := func(fn func(*Reader) int64) (int64, bool) {
		r := NewReader("p", &Delivery{Workspace: "w", ReceivedAt: time.Now()}, revenue.Delivery{ID: "e"})
		r.Exponents = map[string]int{"ISK": 2, "MGA": 0}
		n := fn(r)
		return n, r.Item().Err == nil
	}
	for name, c := range map[string]struct {
		fn   func(*Reader) int64
		want int64
		ok   bool
	}{
		"quoted":                {func(r *Reader) int64 { return r.Minor(o, "USD", "none", "cents") }, 1234, true},
		"plain":                 {func(r *Reader) int64 { return r.Minor(o, "USD", "whole") }, 1234, true},
		"absent":                {func(r *Reader) int64 { return r.Minor(o, "USD", "none") }, 0, true},
		"negative":              {func(r *Reader) int64 { return r.Minor(o, "USD", "negative") }, -5, true},
		"no number":             {func(r *Reader) int64 { return r.Minor(o, "USD", "text") }, 0, false},
		"decimals":              {func(r *Reader) int64 { return r.Minor(o, "USD", "major") }, 0, false},
		"more decimals than us": {func(r *Reader) int64 { return r.Minor(o, "MGA", "part") }, 500, true},
		"part of a króna":       {func(r *Reader) int64 { return r.Minor(o, "ISK", "part") }, 0, false},
		"major":                 {func(r *Reader) int64 { return r.Major(o, "USD", "major") }, 1234, true},
		"too many decimals":     {func(r *Reader) int64 { return r.Major(o, "USD", "long") }, 0, false},
		"mrr":                   {func(r *Reader) int64 { return r.MRR("items", 1200, "year", 1) }, 1_000_000, true},
		"no interval":           {func(r *Reader) int64 { return r.MRR("items", 1200, "eon", 1) }, 0, false},
	} {
		if n, ok := read(c.fn); n != c.want || ok != c.ok {
			t.Errorf("%s: %d, %v", name, n, ok)
		}
	}
}

func TestNote(t *testing.T) {
	o, err := ParseObject([]byte(`{"a":{"utm_campaign":"x","n":1},"b":{"n":2,"large":"` + strings.Repeat("x", MetadataBytesMax) + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var d revenue.Dimensions
	Note(&d, o, "a", "none", "b")
	if string(d.Metadata) != `{"n":2,"utm_campaign":"x"}` || d.Campaign != "x" {
		t.Errorf("%s, campaign %q", d.Metadata, d.Campaign)
	}
}
