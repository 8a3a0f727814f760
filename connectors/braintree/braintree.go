// Package braintree translates the webhooks of Braintree into statements about
// facts.
//
// A webhook is a form with a signature and an XML notification, which renders its
// subject at the notification's timestamp:
//
//   - a transaction, by the rank of what is known of it (charge, refund). Of those
//     that a subscription lists, all it ever had, only the first is news;
//   - a dispute, once, and what was won back;
//   - the terms of a subscription from each of its notifications on. They name no
//     billing term, which is read off the period, and no currency, which is that of
//     the transactions.
//
// A subscription does not name its customer, nor a dispute the subscription. So a
// subscription and its charges are one group, each transaction with its refunds and
// disputes is another, and a link between them says whose the payment was. New,
// churned and reactivated are therefore judged for each subscription by itself.
//
// Braintree tells of no refund and no one-time sale unless they are settled by bank
// debit or the account is sent transaction_disbursed. Sources:
// developer.paypal.com/braintree/docs/reference/general/webhooks and
// github.com/braintree/braintree_ruby.
package braintree

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every statement from here.
const Provider = "braintree"

// New returns the connector.
func New() connectors.Connector {
	return connectors.Connector{
		Provider: Provider, Title: "Braintree", Secret: "public_key:private_key of the API key that signs",
		CheckSecret: func(secret string) error {
			_, err := keysOf(secret)
			return err
		},
		Settings: []connectors.Setting{{
			Name: "currency", Check: isCurrency,
			About: "The currency of the merchant account, for subscriptions that have no transaction yet to tell it.",
		}},
		Verify:    verify,
		Decode:    decode,
		Challenge: challenge,
	}
}

func isCurrency(value string) error {
	if _, known := revenue.Exponent(value); !known {
		return errors.New("must be an ISO 4217 code in capitals")
	}
	return nil
}

// challengeForm is what Braintree asks an address to sign before it uses it. None of
// these is a notification, so that nobody can have one signed by asking.
var challengeForm = regexp.MustCompile(`^[a-f0-9]{20,32}$`)

func challenge(delivery connectors.Delivery, query url.Values) (connectors.Answer, error) {
	asked := query.Get("bt_challenge")
	if !challengeForm.MatchString(asked) {
		return connectors.Answer{}, &connectors.InvalidError{Field: "bt_challenge", Code: "invalid_bt_challenge", Detail: "must be 20 to 32 hexadecimal digits"}
	}
	for _, secret := range delivery.Secrets {
		keys, err := keysOf(secret)
		if err != nil {
			continue
		}
		signature, err := signer.Sign(keys.private, []byte(asked))
		if err != nil {
			return connectors.Answer{}, err
		}
		return connectors.Answer{Status: http.StatusOK, ContentType: "text/plain", Body: keys.public + "|" + signature}, nil
	}
	return connectors.Answer{}, connectors.Refuse(connectors.ReasonNoSecret, "the endpoint has no pair of keys")
}

// readers are what is made of each kind of notification; what is missing books
// nothing.
var readers = map[string]func(*notification){
	"subscription_charged_successfully":   (*notification).subscriptionCharged,
	"subscription_charged_unsuccessfully": (*notification).subscription,
	"subscription_went_active":            (*notification).subscription,
	"subscription_trial_ended":            (*notification).subscription,
	"subscription_went_past_due":          (*notification).subscription,
	"subscription_billing_skipped":        (*notification).subscription,
	"subscription_canceled":               (*notification).subscription,
	"subscription_expired":                (*notification).subscription,

	"transaction_settled":             (*notification).transaction,
	"transaction_settlement_declined": (*notification).transaction,
	"transaction_disbursed":           (*notification).transaction,
	"transaction_retried":             (*notification).transaction,
	"local_payment_completed":         (*notification).transaction,
	"local_payment_funded":            (*notification).transaction,
	"refund_failed":                   (*notification).transaction,

	"dispute_opened":        (*notification).dispute,
	"dispute_disputed":      (*notification).dispute,
	"dispute_under_review":  (*notification).dispute,
	"dispute_accepted":      (*notification).dispute,
	"dispute_auto_accepted": (*notification).dispute,
	"dispute_expired":       (*notification).dispute,
	"dispute_lost":          (*notification).dispute,
	"dispute_won":           (*notification).disputeWon,
}

// notification is one notification being read.
type notification struct {
	*connectors.Reader
	// data is all of it, subject what it is about.
	data, subject connectors.Object
}

func decode(_ context.Context, delivery connectors.Delivery) ([]connectors.Item, error) {
	form, err := readForm(delivery.Body)
	if err != nil {
		return nil, err
	}
	data, err := form.notification()
	if err != nil {
		return nil, err
	}
	n := &notification{
		Reader: connectors.NewReader(Provider, &delivery, revenue.Delivery{Type: data.Text("kind")}),
		data:   data, subject: data.Child("subject"),
	}
	n.At, _ = connectors.Happened(data, "timestamp")
	// Notifications have no id; the subject's is what to look for.
	for _, kind := range []string{"subscription", "transaction", "dispute"} {
		if id := n.subject.ID(kind + ".id"); id != "" {
			n.About.ID = id
		}
	}
	if account := data.Text("source_merchant_id"); account != "" {
		n.Account = account
	}
	if read := readers[n.About.Type]; read != nil {
		read(n)
	}
	return []connectors.Item{n.Item()}, nil
}

// keys are an API key of Braintree: a pair of which the private one signs, and the
// public one says which signed.
type keys struct{ public, private string }

func keysOf(secret string) (keys, error) {
	public, private, found := strings.Cut(strings.TrimSpace(secret), ":")
	if !found || public == "" || private == "" {
		return keys{}, errors.New("must be the public key, a colon and the private key")
	}
	return keys{public, private}, nil
}
