package connectors

import (
	"errors"
	"net/http"
	"testing"
)

// signedBy verifies what HMAC over the body alone signs.
var signedBy = Connector{
	Provider: "test",
	Verify: func(d Delivery) (Verification, error) {
		return HMAC{}.Verify(d.Secrets, []string{d.Header.Get("X-Signature")}, d.Body)
	},
}

func TestDiagnose(t *testing.T) {
	const sent = `{"id":"ev_1","url":"https://example.com/a"}`
	for name, c := range map[string]struct {
		arrived, secret string
		reason          Reason
	}{
		"indented on its way":          {"{\n  \"id\": \"ev_1\",\n  \"url\": \"https://example.com/a\"\n}", "right", ReasonBodyAltered},
		"a line end was added":         {sent + "\n", "right", ReasonBodyAltered},
		"slashes were escaped":         {`{"id":"ev_1","url":"https:\/\/example.com\/a"}`, "right", ReasonBodyAltered},
		"the amount was changed":       {`{"id":"ev_2","url":"https://example.com/a"}`, "right", ReasonMismatch},
		"the other endpoint's secret":  {sent, "other", ReasonWrongSecret},
		"the secret with a line end":   {sent, "right\n", ReasonWrongSecret},
		"the secret with a prefix":     {sent, "whsec_right", ReasonWrongSecret},
		"a secret that nobody has":     {sent, "unheard-of", ReasonMismatch},
		"both the body and the secret": {sent + "\n", "other", ReasonMismatch},
	} {
		signature, err := HMAC{}.Sign("right", []byte(sent))
		if err != nil {
			t.Fatal(err)
		}
		others := []string{}
		if c.secret == "other" {
			others = []string{"right"}
		}
		d := Delivery{Header: http.Header{"X-Signature": {signature}}, Body: []byte(c.arrived), Secrets: []string{c.secret}}
		_, cause := signedBy.Verify(d)
		got := signedBy.Diagnose(d, others, cause)
		if ReasonOf(got) != c.reason || !errors.Is(got, ErrBadSignature) {
			t.Errorf("%s: %v (%s), want %s", name, got, ReasonOf(got), c.reason)
		}
	}
	missing := Refuse(ReasonTooOld, "it is old")
	if got := signedBy.Diagnose(Delivery{}, nil, missing); ReasonOf(got) != ReasonTooOld {
		t.Errorf("another reason became %v", got)
	}
}
