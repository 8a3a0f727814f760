// Package revenuecat translates the webhooks of RevenueCat into statements about
// facts: what was bought in the stores of apps, and what was returned.
//
// An event is all that is ever said of what happened; there is no object with a
// version behind it. A transaction of a store is told of once, by one event; where
// several speak of one fact (a cancellation and its taking back, a refund and its
// reversal) the time at which RevenueCat made the event is the version.
//
//   - a purchase or renewal is a charge, and a term that is worth its price until it
//     expires; a renewal follows on it, early or a little late;
//   - a cancellation with a negative price is a refund of its transaction. If that cut
//     the term short, the term was worth nothing;
//   - a trial, and a cancellation that takes effect when the term expires, are marks.
//
// What cannot be known from webhooks: refunds of earlier terms send no event, so that
// refunds are a lower bound; an extension and an early expiry name no price, so that a
// term is as long as it was when it was bought. Tax and fee are RevenueCat's own
// estimates. A transfer between users moves no money: what comes after it belongs to
// the new user.
//
// Sources: revenuecat.com/docs/integrations/webhooks and its event-types-and-fields,
// event-flows and sample-events.
package revenuecat

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "revenuecat"

// The settings, and the ways to verify.
const (
	verificationSetting = "verification"
	headerSetting       = "signature_header"

	byAuthorization = "authorization"
	bySignature     = "signature"
)

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "RevenueCat",
		Secret: "the webhook's Authorization header value, or its signing secret (see the setting verification)",
		Settings: []connectors.Setting{
			{
				Name: verificationSetting, Default: byAuthorization, Check: connectors.OneOf(byAuthorization, bySignature),
				About: "What the secret is: the value of the Authorization header, or the secret that signs each delivery.",
			},
			{
				Name: headerSetting, Default: "X-RevenueCat-Webhook-Signature", Check: isHeaderName,
				About: "The header that has the signature, if deliveries are signed.",
			},
			connectors.SignatureAgeMax(),
		},
		Verify: verify,
		Decode: decode,
	}
}

func isHeaderName(name string) error {
	if !regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`).MatchString(name) {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	return nil
}

// verify checks what the dashboard was told to send: a fixed Authorization header,
// or the header "t=<Unix seconds>,v1=<hex>", where signed is the time, a dot and the
// body.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	if delivery.Settings[verificationSetting] != bySignature {
		given := delivery.Header.Get("Authorization")
		if given == "" {
			return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no Authorization header")
		}
		return connectors.EachSecret(delivery.Secrets, func(secret string) bool { return connectors.SameText(given, secret) })
	}
	var signedAt string
	var signatures []string
	for part := range strings.SplitSeq(delivery.Header.Get(delivery.Settings[headerSetting]), ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			signedAt = value
		case "v1":
			signatures = append(signatures, value)
		}
	}
	if len(signatures) == 0 {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no %s header with a v1", delivery.Settings[headerSetting])
	}
	at, err := connectors.SignedAt(signedAt)
	if err != nil {
		return connectors.Verification{}, err
	}
	if err := connectors.Fresh(at, delivery.ReceivedAt, delivery.Settings.Duration("signature_age_max")); err != nil {
		return connectors.Verification{}, err
	}
	return connectors.HMAC{}.Verify(delivery.Secrets, signatures, []byte(signedAt), []byte("."), delivery.Body)
}

// event is one event being read.
type event struct {
	*connectors.Reader
	o connectors.Object
	// at is when RevenueCat made the event; it is the same each time it is sent.
	at time.Time
}

// readers are what is made of each type of event; what is missing books nothing.
var readers = map[string]func(*event){
	"INITIAL_PURCHASE":      (*event).purchase,
	"RENEWAL":               (*event).purchase,
	"NON_RENEWING_PURCHASE": (*event).purchase,
	"CANCELLATION":          (*event).cancellation,
	"UNCANCELLATION":        (*event).uncancellation,
	"EXPIRATION":            (*event).expiration,
	"REFUND_REVERSED":       (*event).refundReversed,
}

func decode(_ context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return nil, err
	}
	o := envelope.Child("event")
	e := &event{Reader: connectors.NewReader(Provider, &delivery, revenue.Delivery{
		ID: o.Text("id"), Type: o.Text("type"), APIVersion: envelope.Text("api_version"),
	}), o: o}
	e.At, _ = connectors.Happened(o, "event_timestamp_ms")
	switch environment := o.Text("environment"); {
	case environment == "SANDBOX" || o.Text("store") == "TEST_STORE":
		e.Livemode = false
	case environment == "PRODUCTION":
		e.Livemode = true
	}
	if read := readers[e.About.Type]; read != nil && !o.Flag("is_family_share") { // the family's head paid
		e.at = e.RequiredTime(o, "event_timestamp_ms")
		read(e)
	}
	return []connectors.Item{e.Item()}, nil
}

// customer is whose group it belongs to: the first name that the user ever had, for
// the last one changes.
func (e *event) customer() string { return e.RequiredID(e.o, "original_app_user_id", "app_user_id") }

// statement begins a statement about a store's transaction.
func (e *event) statement(kind revenue.Kind, objectID string, at time.Time) revenue.Event {
	s := e.Statement(kind, objectID, e.customer(), at)
	s.Version = connectors.Version(e.at)
	s.Customer, s.Country = e.customer(), e.o.Text("country_code")
	s.Product, s.Offer = e.o.ID("product_id"), e.o.ID("presented_offering_id")
	s.PaymentMethod = strings.ToLower(e.o.Text("store"))
	if e.About.Type != "NON_RENEWING_PURCHASE" && e.o.Value("expiration_at_ms") != nil {
		s.Subscription, s.Recurring = e.chain(), true
	}
	e.note(&s.Dimensions)
	return s
}

// chain is the subscription: the first of its transactions, which all later ones name.
func (e *event) chain() string {
	return e.RequiredID(e.o, "original_transaction_id", "transaction_id")
}

// note takes the attributes that the app gave its user: those of its own into the
// metadata, and where the user came from. What says who the user is stays out.
func (e *event) note(to *revenue.Dimensions) {
	own := map[string]any{}
	attributes := e.o.Child("subscriber_attributes")
	for name := range attributes {
		if !strings.HasPrefix(name, "$") {
			own[name] = connectors.Object(attributes).Child(name).Value("value")
		}
	}
	to.Campaign, to.Source = attribute(attributes, "$campaign"), attribute(attributes, "$mediaSource")
	connectors.Note(to, connectors.Object{"own": own}, "own")
}

func attribute(attributes connectors.Object, name string) string {
	return attributes.Child(name).Text("value")
}
