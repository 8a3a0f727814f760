package ingest_test

import (
	"strings"
	"testing"
)

// Alerts are made, shown, tested and ended over HTTP, with their secret shown once.
func TestAdminAlerts(t *testing.T) {
	o := startAdmin(t, settings{})
	path := demoPath + "/alerts"
	made := o.must(201, "POST", path, `{"url":"https://example.org/hook","on":"movements","kinds":["new","churn"],"minimums":{"USD":5000}}`, "Idempotency-Key", "one")
	id, secret := made.field(t, "id"), made.field(t, "secret")
	if !strings.HasPrefix(secret, "whsec_") || made.field(t, "name") != "movements" {
		t.Errorf("made %s", made.body)
	}
	again := o.must(201, "POST", path, `{"url":"https://example.org/hook","on":"movements","kinds":["new","churn"],"minimums":{"USD":5000}}`, "Idempotency-Key", "one")
	if again.field(t, "id") != id || strings.Contains(again.body, "whsec_") {
		t.Errorf("made again: %s", again.body)
	}
	o.must(201, "POST", path, `{"url":"https://example.org/hook","on":"refund_rate","per_mille":50,"period_seconds":604800,"by_amount":true,"charges_min":20,"name":"too many",
		"secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}`)
	list := o.must(200, "GET", path, "")
	if ids := list.ids(t, "alerts", "on"); strings.Join(ids, " ") != "movements refund_rate" || strings.Contains(list.body, "whsec_") {
		t.Errorf("list: %s", list.body)
	}
	if shown := o.must(200, "GET", path+"/"+id, ""); !strings.Contains(shown.body, `"minimums":{"USD":5000}`) || strings.Contains(shown.body, "whsec_") {
		t.Errorf("shown: %s", shown.body)
	}
	for body, code := range map[string]string{
		`{"on":"movements"}`:                                                      "missing_url",
		`{"url":"https://example.org/"}`:                                          "missing_on",
		`{"url":"https://example.org/","on":"x"}`:                                 "invalid_on",
		`{"url":"http://example.org/","on":"lag"}`:                                "invalid",
		`{"url":"https://example.org/","on":"lag"}`:                               "invalid",
		`{"url":"https://example.org/","on":"movements","kinds":["x"]}`:           "invalid_kinds",
		`{"url":"https://example.org/","on":"movements","minimums":{"USD":1.5}}`:  "invalid_minimums",
		`{"url":"https://example.org/","on":"movements","secret":"whsec_short"}`:  "invalid",
		`{"url":"https://example.org/","on":"movements","per_mill":1}`:            "unknown_field",
		`{"url":"https://example.org/","on":"mrr_drop","per_mille":0}`:            "invalid_per_mille",
		`{"url":"https://example.org/","on":"source_silent","period_seconds":-1}`: "invalid_period_seconds",
	} {
		if answer := o.must(400, "POST", path, body); answer.field(t, "code") != code {
			t.Errorf("%s: %s, want %s", body, answer.body, code)
		}
	}
	rotated := o.must(200, "POST", path+"/"+id+"/rotate", "")
	if fresh := rotated.field(t, "secret"); fresh == secret || !strings.HasPrefix(fresh, "whsec_") {
		t.Errorf("rotated: %s", rotated.body)
	}
	if dropped := o.must(200, "POST", path+"/"+id+"/rotate", `{"drop_old":true}`); !strings.Contains(dropped.body, `"secret_count":1`) {
		t.Errorf("dropped: %s", dropped.body)
	}
	if ordered := o.must(202, "POST", path+"/"+id+"/test", ""); ordered.field(t, "action") != "test" || ordered.field(t, "alert") != id {
		t.Errorf("ordered: %s", ordered.body)
	}
	o.must(202, "POST", path+"/"+id+"/redeliver", `{"since":"2026-01-01T00:00:00Z"}`)
	o.must(400, "POST", path+"/"+id+"/redeliver", `{}`)

	// Another workspace's do not exist.
	o.must(201, "POST", adminPath, `{"slug":"other"}`)
	other := adminPath + "/other/alerts/" + id
	o.must(404, "GET", other, "")
	o.must(404, "DELETE", other, "")
	o.must(404, "POST", other+"/rotate", "")
	o.must(404, "POST", other+"/test", "")
	o.must(404, "POST", other+"/redeliver", `{"notification":"x"}`)
	o.must(404, "GET", path+"/al_none", "")

	if ended := o.must(200, "DELETE", path+"/"+id, ""); !strings.Contains(ended.body, "revoked_at") {
		t.Errorf("ended: %s", ended.body)
	}
	o.must(404, "DELETE", path+"/"+id, "")
	o.must(404, "POST", path+"/"+id+"/test", "")
	reader, _ := o.newKey(`"scopes":["read"]`)
	o.as(reader).must(403, "GET", path, "")
}
