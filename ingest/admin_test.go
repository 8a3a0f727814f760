package ingest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/connectors/registry"
	"revstream/connectors/stripe"
	"revstream/ingest/control"
	"revstream/ingest/stream"
)

const (
	adminPath = "/v1/admin/workspaces"
	demoPath  = adminPath + "/demo"
)

// operator manages a service over a connection, with one key.
type operator struct {
	*service
	base, key string
}

// startAdmin is a service with every provider, and its installation's key.
func startAdmin(t *testing.T, with settings) operator {
	t.Helper()
	if with.connectors == nil {
		with.connectors = registry.New(stripe.DefaultConfig(), nil)
	}
	if with.ingest == nil {
		with.ingest = func(c *cfg) { c.AdminRequestsBurst = 10_000 }
	}
	s := start(t, with)
	return operator{s, s.listen(), s.keys.installation}
}

// as is the operator with another key.
func (o operator) as(key string) operator {
	o.key = key
	return o
}

// do sends a request, with headers given as name, value pairs.
func (o operator) do(method, path, body string, headers ...string) response {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), method, o.base+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+o.key)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	declared(o.t, method, path, answer.StatusCode)
	return read(o.t, answer)
}

// must is do of what has to be answered with the status.
func (o operator) must(status int, method, path, body string, headers ...string) response {
	o.t.Helper()
	answer := o.do(method, path, body, headers...)
	if answer.status != status {
		o.t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, answer.status, answer.body, status)
	}
	return answer
}

// newKey creates a key of the workspace demo and returns its text and id.
func (o operator) newKey(members string) (text, id string) {
	o.t.Helper()
	created := o.must(201, "POST", demoPath+"/keys", `{"name":"k",`+members+`}`)
	return created.field(o.t, "secret"), created.field(o.t, "id")
}

// members decodes a JSON object.
func (r response) members(t *testing.T) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(r.body), &members); err != nil {
		t.Fatalf("answer %d %q: %v", r.status, r.body, err)
	}
	return members
}

// ids lists one member of each element of a list.
func (r response) ids(t *testing.T, list, member string) []string {
	t.Helper()
	ids := []string{}
	for _, element := range r.members(t)[list].([]any) {
		ids = append(ids, fmt.Sprint(element.(map[string]any)[member]))
	}
	return ids
}

// TestAdminWorkspaces: a tenant is set up, and sends and is turned off, over HTTP
// alone.
func TestAdminWorkspaces(t *testing.T) {
	o := startAdmin(t, settings{})
	created := o.must(201, "POST", adminPath, `{"slug":"acme","currency":"eur","time_zone":"Europe/Berlin"}`)
	if got := created.members(t); got["name"] != "acme" || got["currency"] != "EUR" || got["time_zone"] != "Europe/Berlin" || got["created_at"] == "" {
		t.Errorf("created %v", got)
	}
	if created.header.Get("Cache-Control") != "no-store" || created.header.Get("RateLimit-Policy") != `"admin";q=10000;w=1000` {
		t.Errorf("header %v", created.header)
	}
	o.must(409, "POST", adminPath, `{"slug":"acme"}`)
	o.must(200, "PATCH", adminPath+"/acme", `{"name":"Acme Inc.","currency":null}`)
	if got := o.must(200, "GET", adminPath+"/acme", "").members(t); got["name"] != "Acme Inc." || got["currency"] != "EUR" {
		t.Errorf("changed to %v", got)
	}
	for query, want := range map[string]string{"": "[acme demo] <nil>", "?limit=1": "[acme] acme", "?after=acme&limit=1": "[demo] <nil>", "?after=demo": "[] <nil>"} {
		answer := o.must(200, "GET", adminPath+query, "")
		if got := fmt.Sprintf("%v %v", answer.ids(t, "workspaces", "slug"), answer.members(t)["next"]); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}

	keys := adminPath + "/acme/keys"
	key := o.must(201, "POST", keys, `{"name":"shop","style":"trackly","scopes":["revenue:write","read"],"rate_per_second":2.5,"burst":7,"expires_at":"2100-01-01"}`)
	text, id := key.field(t, "secret"), key.field(t, "id")
	if got := key.members(t); !strings.HasPrefix(text, "trk_") || got["rate_per_second"] != 2.5 || got["burst"] != 7.0 ||
		got["expires_at"] != "2100-01-01T00:00:00Z" || got["workspace"] != "acme" {
		t.Errorf("key %s", key.body)
	}
	o.as(text).must(202, "POST", "/v1/events", order)
	for _, path := range []string{keys, keys + "/" + id} {
		if shown := o.must(200, "GET", path, ""); strings.Contains(shown.body, text) || !strings.Contains(shown.body, id) {
			t.Errorf("%s: %s", path, shown.body)
		}
	}
	if revoked := o.must(200, "DELETE", keys+"/"+id, ""); revoked.members(t)["revoked_at"] == nil {
		t.Errorf("revoked: %s", revoked.body)
	}
	o.must(200, "DELETE", keys+"/"+id, "")
	o.as(text).must(401, "POST", "/v1/events", order)

	var said []string
	for _, entry := range o.must(200, "GET", adminPath+"/acme/audit?limit=3", "").members(t)["entries"].([]any) {
		said = append(said, fmt.Sprint(entry.(map[string]any)["action"]))
		if actor := fmt.Sprint(entry.(map[string]any)["actor"]); !strings.HasPrefix(actor, "key:key_") {
			t.Errorf("actor %q", actor)
		}
	}
	if want := []string{"key.revoke", "key.revoke", "key.create"}; !slices.Equal(said, want) {
		t.Errorf("audit %v, want %v", said, want)
	}
}

// TestAdminEndpoints: deliveries signed with the secrets of an endpoint are taken
// for as long as the secrets are good, and no answer shows them again.
func TestAdminEndpoints(t *testing.T) {
	o := startAdmin(t, settings{})
	providers := o.must(200, "GET", "/v1/admin/providers", "").ids(t, "providers", "provider")
	if !slices.Contains(providers, "stripe") || !slices.Contains(providers, "lemonsqueezy") {
		t.Errorf("providers %v", providers)
	}
	endpoints := demoPath + "/endpoints"
	created := o.must(201, "POST", endpoints, `{"provider":"stripe","account":"acct_1","settings":{"off_stripe":"exclude","api_key":"rk_live_hidden"}}`)
	first, path, one := created.field(t, "secret"), created.field(t, "path"), endpoints+"/"+created.field(t, "id")
	deliver := func(secret string) int {
		body := `{"id":"evt_1","object":"event","type":"unheard.of","created":1,"data":{"object":{}}}`
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "." + body))
		return o.do("POST", path, body, "Stripe-Signature", "t="+stamp+",v1="+hex.EncodeToString(mac.Sum(nil))).status
	}
	if status := deliver(first); status != 200 {
		t.Fatalf("a delivery: %d", status)
	}
	second := o.must(200, "POST", one+"/rotate", "").field(t, "secret")
	o.must(200, "POST", one+"/rotate", `{"secret":"whsec_of_ours"}`)
	for secret, want := range map[string]int{first: 400, second: 200, "whsec_of_ours": 200} {
		if status := deliver(secret); status != want {
			t.Errorf("after two rotations, %s: %d, want %d", secret, status, want)
		}
	}
	o.must(200, "POST", one+"/rotate", `{"drop_old":true}`)
	if status := deliver(second); status != 400 {
		t.Errorf("a dropped secret: %d", status)
	}
	o.must(200, "PATCH", one, `{"mode":"live","settings":{"off_stripe":null}}`)
	shown := o.must(200, "GET", one, "")
	want := fmt.Sprintf(`{"id":%q,"workspace":"demo","provider":"stripe","account":"acct_1","mode":"live","path":%q,"settings":{},"credentials":["api_key"],"secret_count":1,"created_at":%s}`,
		created.field(t, "id"), path, strconv.Quote(created.field(t, "created_at")))
	shown.expect(t, 200, want)
	list := o.must(200, "GET", endpoints, "")
	for _, secret := range []string{first, second, "whsec_of_ours", "rk_live_hidden"} {
		if strings.Contains(list.body+shown.body, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	if revoked := o.must(200, "DELETE", one, "").members(t); revoked["revoked_at"] == nil || revoked["secret_count"] != 0.0 {
		t.Errorf("revoked: %v", revoked)
	}
	for _, again := range [][2]string{{"DELETE", one}, {"PATCH", one}, {"POST", one + "/rotate"}} {
		o.must(404, again[0], again[1], `{}`)
	}
	if status := deliver("whsec_of_ours"); status != 404 {
		t.Errorf("a delivery to a revoked endpoint: %d", status)
	}
	o.must(200, "GET", one, "")
}

// TestAdminKeysCoverTheirs: what a key may not manage does not exist for it, and
// what it has not it cannot give.
func TestAdminKeysCoverTheirs(t *testing.T) {
	o := startAdmin(t, settings{})
	o.must(201, "POST", adminPath, `{"slug":"acme"}`)
	const other = adminPath + "/acme"
	othersKey := o.must(201, "POST", other+"/keys", `{"name":"theirs","scopes":["read"]}`).field(t, "id")
	othersEndpoint := o.must(201, "POST", other+"/endpoints", `{"provider":"stripe"}`).field(t, "id")

	for _, key := range []string{o.keys.secret, o.keys.reading, o.keys.public} {
		o.as(key).must(403, "GET", adminPath, "").expect(t, 403,
			`{"type":"about:blank","title":"Forbidden","status":403,"detail":"The API key has not the scope admin.","code":"forbidden"}`)
	}
	for _, key := range []string{"", "rsk_" + strings.Repeat("0", 32)} {
		o.as(key).must(401, "POST", adminPath, `{"slug":"x"}`)
	}

	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	text, own := o.newKey(`"scopes":["admin","read"],"rate_per_second":900,"burst":1000,"expires_at":"` + soon + `"`)
	bound := o.as(text)
	if got := bound.must(200, "GET", adminPath, "").ids(t, "workspaces", "slug"); !slices.Equal(got, []string{"demo"}) {
		t.Errorf("it sees %v", got)
	}
	bound.must(403, "POST", adminPath, `{"slug":"mine"}`)
	for _, call := range [][3]string{
		{"GET", other, ""}, {"PATCH", other, `{"name":"x"}`}, {"GET", other + "/audit", ""},
		{"GET", other + "/keys", ""}, {"POST", other + "/keys", `{"name":"x","scopes":["read"]}`},
		{"GET", other + "/keys/" + othersKey, ""}, {"DELETE", other + "/keys/" + othersKey, ""}, {"DELETE", demoPath + "/keys/" + othersKey, ""},
		{"GET", other + "/endpoints", ""}, {"POST", other + "/endpoints", `{"provider":"stripe"}`},
		{"GET", demoPath + "/endpoints/" + othersEndpoint, ""}, {"PATCH", demoPath + "/endpoints/" + othersEndpoint, `{"mode":"live"}`},
		{"POST", demoPath + "/endpoints/" + othersEndpoint + "/rotate", ""}, {"DELETE", demoPath + "/endpoints/" + othersEndpoint, ""},
		{"GET", adminPath + "/unheard-of", ""}, {"DELETE", demoPath + "/keys/key_0", ""},
	} {
		bound.must(404, call[0], call[1], call[2])
	}
	o.must(200, "GET", other+"/keys/"+othersKey, "") // it is as it was

	for body, want := range map[string]string{
		`{"name":"x","scopes":["read","revenue:write"]}`:                      "/scopes",
		`{"name":"x","scopes":["read"],"rate_per_second":1}`:                  "/rate_per_second",
		`{"name":"x","scopes":["read"],"burst":1}`:                            "/rate_per_second",
		`{"name":"x","scopes":["admin"],"expires_at":"2100-01-01T00:00:00Z"}`: "/expires_at",
	} {
		refused := bound.must(403, "POST", demoPath+"/keys", body)
		if refused.field(t, "code") != "grant_exceeded" || refused.field(t, "pointer") != want {
			t.Errorf("%s: %s", body, refused.body)
		}
	}
	child := bound.must(201, "POST", demoPath+"/keys", `{"name":"x","scopes":["admin","read"]}`).members(t)
	if child["expires_at"] != soon || child["rate_per_second"] != 900.0 || child["burst"] != 1000.0 {
		t.Errorf("a key of a key: %v", child)
	}
	bound.must(201, "POST", demoPath+"/keys", `{"name":"x","public":true}`)

	// Nor may it send our own requests anywhere.
	refused := bound.must(403, "POST", demoPath+"/endpoints", `{"provider":"stripe","settings":{"api_url":"https://10.0.0.1"}}`)
	if refused.field(t, "pointer") != "/settings/api_url" {
		t.Errorf("an address: %s", refused.body)
	}
	endpoint := o.must(201, "POST", demoPath+"/endpoints", `{"provider":"stripe","settings":{"api_url":"https://mirror.example.com"}}`).field(t, "id")
	bound.must(403, "PATCH", demoPath+"/endpoints/"+endpoint, `{"settings":{"api_url":null}}`)
	bound.must(200, "PATCH", demoPath+"/endpoints/"+endpoint, `{"settings":{"off_stripe":"exclude"}}`)

	bound.must(200, "DELETE", demoPath+"/keys/"+own, "") // itself
	bound.must(401, "GET", demoPath, "")
}

// TestAdminRefuses: what is wrong is a 400 that says where, and changes nothing.
func TestAdminRefuses(t *testing.T) {
	o := startAdmin(t, settings{})
	endpoint := demoPath + "/endpoints/" + o.must(201, "POST", demoPath+"/endpoints", `{"provider":"stripe"}`).field(t, "id")
	const keys, endpoints = demoPath + "/keys", demoPath + "/endpoints"
	before := o.must(200, "GET", demoPath+"/audit", "").body
	for _, test := range []struct{ method, path, body, code, pointer string }{
		{"POST", adminPath, `{`, "invalid_json", ""},
		{"POST", adminPath, `[]`, "invalid_json", ""},
		{"POST", adminPath, `null`, "invalid_json", ""},
		{"POST", adminPath, "", "missing_slug", "/slug"},
		{"POST", adminPath, `{"slug":"a","slug":"b"}`, "invalid_json", "/slug"},
		{"POST", adminPath, "{\"slug\":\"\xff\"}", "invalid_json", ""},
		{"POST", adminPath, `{"slug":"a"} {"slug":"b"}`, "invalid_json", ""},
		{"POST", adminPath, `{"slug":"a","sulg":"b"}`, "unknown_field", "/sulg"},
		{"POST", adminPath, `{"slug":7}`, "invalid_slug", "/slug"},
		{"POST", adminPath, `{"slug":"No Slug"}`, "invalid", ""},
		{"POST", adminPath, `{"slug":"` + strings.Repeat("a", 64) + `"}`, "invalid", ""},
		{"POST", adminPath, `{"slug":"a","currency":"DOLLARS"}`, "invalid_currency", "/currency"},
		{"POST", adminPath, `{"slug":"a","time_zone":"Mars/Olympus"}`, "invalid", ""},
		{"POST", adminPath, `{"slug":"a","time_zone":"Local"}`, "invalid", ""},
		{"POST", adminPath, strings.Repeat(`{"slug":`, 20_000), "invalid_json", ""},
		{"POST", adminPath + "?slug=a", `{"slug":"a"}`, "invalid_query", ""},
		{"GET", adminPath + "?limit=0", "", "invalid_limit", ""},
		{"GET", adminPath + "?limit=1e3", "", "invalid_limit", ""},
		{"GET", adminPath + "?limit=1&limit=2", "", "invalid_query", ""},
		{"GET", adminPath + "?offset=1", "", "invalid_query", ""},
		{"GET", adminPath + "?after=nobody", "", "invalid_after", ""},
		{"GET", adminPath + "?after=%zz", "", "invalid_query", ""},
		{"PATCH", demoPath, `{"slug":"other"}`, "unknown_field", "/slug"},
		{"PATCH", demoPath, `{"name":""}`, "invalid", ""},
		{"PATCH", demoPath, `{"name":["x"]}`, "invalid_name", "/name"},
		{"PATCH", demoPath, `{"currency":""}`, "invalid", ""},
		{"POST", keys, `{"scopes":["read"]}`, "missing_name", "/name"},
		{"POST", keys, `{"name":"x"}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":[]}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":"read"}`, "invalid_json", "/scopes"},
		{"POST", keys, `{"name":"x","scopes":["everything"]}`, "invalid_scopes", "/scopes"},
		{"POST", keys, `{"name":"x","scopes":["read","read"]}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":["read",null]}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":["read"],"public":true}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":["read"],"public":"no"}`, "invalid_public", "/public"},
		{"POST", keys, `{"name":"x","public":true,"style":"trackly"}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":["read"],"style":"baroque"}`, "invalid_style", "/style"},
		{"POST", keys, `{"name":"x","scopes":["read"],"rate_per_second":-1}`, "invalid_rate_per_second", "/rate_per_second"},
		{"POST", keys, `{"name":"x","scopes":["read"],"rate_per_second":1e999}`, "invalid_rate_per_second", "/rate_per_second"},
		{"POST", keys, `{"name":"x","scopes":["read"],"rate_per_second":1e9}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":["read"],"rate_per_second":NaN}`, "invalid_json", ""},
		{"POST", keys, `{"name":"x","scopes":["read"],"rate_per_second":"5"}`, "invalid_rate_per_second", "/rate_per_second"},
		{"POST", keys, `{"name":"x","scopes":["read"],"burst":1.5}`, "invalid_burst", "/burst"},
		{"POST", keys, `{"name":"x","scopes":["read"],"expires_at":"2020-01-01"}`, "invalid", ""},
		{"POST", keys, `{"name":"x","scopes":["read"],"expires_at":"2026-02-30"}`, "invalid_expires_at", "/expires_at"},
		{"POST", keys, `{"name":"x","scopes":["read"],"expires_at":1e9}`, "invalid_expires_at", "/expires_at"},
		{"POST", endpoints, `{}`, "missing_provider", "/provider"},
		{"POST", endpoints, `{"provider":"unheard-of"}`, "invalid_provider", "/provider"},
		{"POST", endpoints, `{"provider":"paypal"}`, "missing_secret", "/secret"},
		{"POST", endpoints, `{"provider":"paypal","secret":"no id"}`, "invalid_secret", "/secret"},
		{"POST", endpoints, `{"provider":"stripe","secret":"short"}`, "invalid", ""},
		{"POST", endpoints, `{"provider":"stripe","mode":"sometimes"}`, "invalid_mode", "/mode"},
		{"POST", endpoints, `{"provider":"stripe","settings":{"colour":"red"}}`, "invalid_settings", "/settings"},
		{"POST", endpoints, `{"provider":"stripe","settings":{"off_stripe":"perhaps"}}`, "invalid_settings", "/settings"},
		{"POST", endpoints, `{"provider":"stripe","settings":{"off_stripe":1}}`, "invalid_json", "/settings/off_stripe"},
		{"POST", endpoints, `{"provider":"stripe","settings":[]}`, "invalid_json", "/settings"},
		{"POST", endpoints, `{"provider":"stripe","settings":{"off_stripe":"count","off_stripe":"count"}}`, "invalid_json", "/settings/off_stripe"},
		{"PATCH", endpoint, `{"provider":"paddle"}`, "unknown_field", "/provider"},
		{"PATCH", endpoint, `{"settings":{"api_key":"` + strings.Repeat("x", 9000) + `"}}`, "invalid", ""},
		{"POST", endpoint + "/rotate", `{"secret":"short"}`, "invalid", ""},
		{"POST", endpoint + "/rotate", `{"drop_old":1}`, "invalid_drop_old", "/drop_old"},
		{"POST", endpoint + "/rotate", `{"drop_old":true,"secret":"whsec_1"}`, "invalid_drop_old", "/drop_old"},
	} {
		answer := o.do(test.method, test.path, test.body)
		if answer.status != 400 || answer.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %.60s: %d %s", test.method, test.path, test.body, answer.status, answer.body)
			continue
		}
		if answer.field(t, "code") != test.code || answer.field(t, "pointer") != test.pointer || answer.field(t, "detail") == "" {
			t.Errorf("%s %s %.60s: %s\nwant %s %s", test.method, test.path, test.body, answer.body, test.code, test.pointer)
		}
	}
	o.must(415, "POST", adminPath, `{"slug":"a"}`, "Content-Encoding", "br")
	o.must(405, "PUT", adminPath, `{}`)
	if after := o.must(200, "GET", demoPath+"/audit", "").body; after != before {
		t.Errorf("something was changed: %s", after)
	}
}

// TestAdminSaysSecretsOnce: a repeat does nothing again, and has no secret; nor has
// any record of the answers.
func TestAdminSaysSecretsOnce(t *testing.T) {
	o := startAdmin(t, settings{})
	secrets := []string{}
	for path, body := range map[string]string{demoPath + "/keys": `{"name":"x","scopes":["read"]}`, demoPath + "/endpoints": `{"provider":"stripe"}`} {
		before := o.must(200, "GET", path, "")
		first := o.must(201, "POST", path, body, "Idempotency-Key", "once")
		second := o.must(201, "POST", path, body, "Idempotency-Key", "once")
		secret := first.field(t, "secret")
		if secret == "" || second.field(t, "secret") != "" || first.field(t, "id") != second.field(t, "id") || second.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: first %s, then %s", path, first.body, second.body)
		}
		list := strings.Trim(path[len(demoPath):], "/")
		if got, was := o.must(200, "GET", path, "").ids(t, list, "id"), before.ids(t, list, "id"); len(got) != len(was)+1 {
			t.Errorf("%s: %d and %d", path, len(was), len(got))
		}
		o.must(422, "POST", path, strings.Replace(body, "{", `{"mode":"live",`, 1), "Idempotency-Key", "once")
		secrets = append(secrets, secret)
	}
	// The same key is another at another workspace, and at another endpoint.
	o.must(201, "POST", adminPath, `{"slug":"acme"}`, "Idempotency-Key", "once")
	o.must(201, "POST", adminPath+"/acme/keys", `{"name":"y","scopes":["read"]}`, "Idempotency-Key", "once")
	for range 2 {
		one := o.must(201, "POST", demoPath+"/endpoints", `{"provider":"stripe"}`).field(t, "id")
		rotated := o.must(200, "POST", demoPath+"/endpoints/"+one+"/rotate", `{}`, "Idempotency-Key", "once")
		secrets = append(secrets, rotated.field(t, "secret"))
	}
	for _, topic := range []string{o.stream.IdempotencyTopic, o.stream.ControlTopic} {
		table := o.table(topic)
		err := table.Range("", func(key string, value []byte) bool {
			for i, secret := range secrets {
				kept := strings.Contains(string(value), secret)
				if kept && (topic == o.stream.IdempotencyTopic || strings.HasPrefix(secret, "rsk_") || strings.HasPrefix(key, "audit/")) {
					t.Errorf("secret %d is in %s under %s", i, topic, key)
				}
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// table is another node's copy of a topic, as of now.
func (o operator) table(topic string) *stream.Table {
	o.t.Helper()
	table, err := stream.OpenTable(o.t.Context(), o.stream, topic, filepath.Join(o.t.TempDir(), "tables"), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = table.Close() })
	if err := table.Refresh(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	return table
}

// TestAdminAtOnce: of many changes at a time each is made once, and none is lost.
func TestAdminAtOnce(t *testing.T) {
	o := startAdmin(t, settings{})
	// atOnce counts the statuses of calls that are sent together.
	atOnce := func(n int, send func(i int) response) map[int]int {
		statuses := map[int]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				answer := send(i)
				mu.Lock()
				defer mu.Unlock()
				statuses[answer.status]++
			})
		}
		all.Wait()
		return statuses
	}
	if got := atOnce(8, func(int) response { return o.do("POST", adminPath, `{"slug":"acme"}`) }); got[201] != 1 || got[409] != 7 {
		t.Errorf("one slug: %v", got)
	}
	const acme = adminPath + "/acme"
	if got := atOnce(105, func(int) response { return o.do("POST", acme+"/keys", `{"name":"x","scopes":["read"]}`) }); got[201] != 100 || got[409] != 5 {
		t.Errorf("keys up to the limit: %v", got)
	}
	changes := []string{`{"name":"Acme"}`, `{"currency":"JPY"}`, `{"time_zone":"Asia/Tokyo"}`}
	if got := atOnce(len(changes), func(i int) response { return o.do("PATCH", acme, changes[i]) }); got[200] != len(changes) {
		t.Errorf("settings of a workspace: %v", got)
	}
	if got := o.must(200, "GET", acme, "").members(t); got["name"] != "Acme" || got["currency"] != "JPY" || got["time_zone"] != "Asia/Tokyo" {
		t.Errorf("a change is lost: %v", got)
	}
	endpoint := acme + "/endpoints/" + o.must(201, "POST", acme+"/endpoints", `{"provider":"stripe"}`).field(t, "id")
	options := []string{`"off_stripe":"exclude"`, `"api_key":"rk_live_1"`, `"api_url":"https://mirror.example.com"`}
	if got := atOnce(len(options), func(i int) response { return o.do("PATCH", endpoint, `{"settings":{`+options[i]+`}}`) }); got[200] != len(options) {
		t.Errorf("settings of an endpoint: %v", got)
	}
	shown := o.must(200, "GET", endpoint, "").members(t)
	if got := fmt.Sprint(shown["settings"], shown["credentials"]); got != "map[api_url:https://mirror.example.com off_stripe:exclude] [api_key]" {
		t.Errorf("a setting is lost: %s", got)
	}
	if got := atOnce(4, func(int) response { return o.do("DELETE", endpoint, "") }); got[200] != 1 || got[404] != 3 {
		t.Errorf("revoking: %v", got)
	}
}

// TestAdminSeesOtherNodes: an answer is as of everything that was acknowledged.
func TestAdminSeesOtherNodes(t *testing.T) {
	o := startAdmin(t, settings{})
	text, id := o.newKey(`"scopes":["admin"]`)
	elsewhere, err := control.Open(t.Context(), o.table(o.stream.ControlTopic))
	if err != nil {
		t.Fatal(err)
	}
	name := "changed elsewhere"
	if _, err := elsewhere.UpdateWorkspace(t.Context(), "test", "demo", control.WorkspaceChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if got := o.as(text).must(200, "GET", demoPath, "").members(t)["name"]; got != name {
		t.Errorf("name %v", got)
	}
	if _, err := elsewhere.RevokeKey(t.Context(), "test", id); err != nil {
		t.Fatal(err)
	}
	o.as(text).must(401, "PATCH", demoPath, `{"name":"too late"}`)
}

func TestAdminIsLimited(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := startAdmin(t, settings{now: func() time.Time { return now }, ingest: func(c *cfg) { c.AdminRequestsPerSecond, c.AdminRequestsBurst = 0.5, 2 }})
	for _, left := range []string{`"admin";r=1;t=2`, `"admin";r=0;t=4`} {
		if answer := o.must(200, "GET", demoPath, ""); answer.header.Get("RateLimit") != left {
			t.Errorf("RateLimit %s, want %s", answer.header.Get("RateLimit"), left)
		}
	}
	limited := o.must(429, "POST", demoPath+"/keys", `{`)
	if limited.header.Get("Retry-After") != "2" || limited.field(t, "code") != "rate_limited" || limited.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%v %s", limited.header, limited.body)
	}
}

func TestAdminWhileKafkaIsDown(t *testing.T) {
	o := startAdmin(t, settings{fake: true, stream: func(c *stream.Config) { c.ProduceTimeout, c.ReadTimeout = time.Second, time.Second }})
	o.fake.Close()
	for _, call := range [][3]string{
		{"GET", demoPath, ""}, {"PATCH", demoPath, `{"name":"x"}`}, {"POST", demoPath + "/keys", `{"name":"x","scopes":["read"]}`},
	} {
		answer := o.must(503, call[0], call[1], call[2])
		if answer.header.Get("Retry-After") != "1" || answer.field(t, "detail") != "The request cannot be served right now. Send it again." {
			t.Errorf("%s %s: %v %s", call[0], call[1], answer.header, answer.body)
		}
	}
}
