package shopify

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{Connector: New(), Secret: "secret-of-the-tests", Other: "secret-of-others", Sign: sign}
}

// sign puts on a delivery the header that Shopify would.
func sign(delivery *connectors.Delivery, secret string, _ time.Time) {
	signature, err := connectors.HMAC{Base64: true}.Sign(secret, delivery.Body)
	if err != nil {
		panic(err) // any text is a key
	}
	delivery.Header.Set("X-Shopify-Hmac-SHA256", signature)
}

func TestConnector(t *testing.T) { kit().Run(t) }

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }

func delivery(topic, body string) connectors.Delivery {
	d := connectors.Delivery{
		Workspace: "acme", Account: "of the endpoint", Livemode: true, Secrets: []string{"secret-of-the-tests"},
		Header: http.Header{}, Body: []byte(body), ReceivedAt: connectortest.ReceivedAt,
	}
	d.Header.Set("X-Shopify-Topic", topic)
	return d
}

// TestSignatureForms: base64 in either spelling of the header, and nothing else.
func TestSignatureForms(t *testing.T) {
	const body = `{"id":1}`
	signature, err := connectors.HMAC{Base64: true}.Sign("secret-of-the-tests", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	hexadecimal, err := connectors.HMAC{}.Sign("secret-of-the-tests", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		verifies    bool
	}{
		{"X-Shopify-Hmac-SHA256", signature, true},
		{"X-Shopify-Hmac-Sha256", signature, true},
		{"x-shopify-hmac-sha256", " " + signature + " ", true},
		{"X-Shopify-Hmac-SHA256", hexadecimal, false},
		{"X-Shopify-Hmac-SHA256", strings.TrimRight(signature, "="), false},
		{"X-Shopify-Hmac-SHA256", "", false},
	} {
		d := delivery("orders/paid", body)
		d.Header.Set(c.name, c.value)
		if _, err := verify(d); (err == nil) != c.verifies || err != nil && !errors.Is(err, connectors.ErrBadSignature) {
			t.Errorf("%s: %q: %v", c.name, c.value, err)
		}
	}
}

// TestTopicIsNotSigned: under whichever topic of orders a body comes, it says the
// same, and under another it says nothing that it does not hold.
func TestTopicIsNotSigned(t *testing.T) {
	const order = `{"id":1001,"name":"#1001","created_at":"2026-03-01T10:00:00Z","processed_at":"2026-03-01T10:00:00Z",` +
		`"updated_at":"2026-03-01T10:00:00Z","currency":"USD","financial_status":"pending","total_price":"60.00","line_items":[]}`
	for topic := range readers {
		_, items, err := func() (connectors.Verification, []connectors.Item, error) {
			d := delivery(topic, order)
			sign(&d, "secret-of-the-tests", d.ReceivedAt)
			return New().Receive(t.Context(), d)
		}()
		if err != nil || len(items) != 1 {
			t.Fatalf("%s: %v", topic, err)
		}
		for _, e := range items[0].Events {
			if e.Amount != 0 || e.MRR != 0 {
				t.Errorf("%s: an order that is not paid is booked as %+v", topic, e)
			}
		}
	}
}

// TestDetails: what of an order becomes a dimension.
func TestDetails(t *testing.T) {
	d := delivery("orders/paid", `{"id":1001,"created_at":"2026-03-01T10:00:00-05:00","currency":"USD","financial_status":"paid","total_price":"60.00",
		"total_tax":"5.00","total_discounts":"2.50","payment_gateway_names":[7,"paypal"],"landing_site":"/?utm_source=a&utm_campaign=b",
		"note_attributes":[{"name":"utm_source","value":"c"},{"value":"no name"}],"customer":{"id":7},"shipping_address":{"country_code":"CA"},
		"line_items":[{"product_id":1,"variant_id":2,"price":"not a price"},{"product_id":3,"variant_id":4,"quantity":2,"price":"9.99"},{"product_id":5,"price":"9.98"}]}`)
	d.Header.Set("X-Shopify-Shop-Domain", "acme.myshopify.com")
	items, err := decode(t.Context(), d)
	if err != nil || len(items) != 1 || items[0].Err != nil || len(items[0].Events) != 2 {
		t.Fatalf("%+v, %v", items, err)
	}
	e := items[0].Events[1]
	if e.Account != "acme.myshopify.com" || e.Amount != 6000 || e.Tax != 500 || e.Discount != 250 || e.Customer != "7" || e.Country != "CA" ||
		e.Product != "3" || e.Plan != "4" || e.Quantity != 2 || e.Campaign != "b" || e.Source != "c" || e.PaymentMethod != "" ||
		!e.OccurredAt.Equal(time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", e)
	}
}
