package alerts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// body is what is posted: the form that Standard Webhooks proposes.
type body struct {
	Type string `json:"type"`
	// Timestamp is when it was found out, UTC.
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

// head is what every notification says first.
type head struct {
	// ID is also the header webhook-id: who has seen it has been told already.
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	Alert     string `json:"alert"`
	AlertName string `json:"alertName"`
}

func (h *head) fill(id string, alert *control.Alert) {
	*h = head{ID: id, Workspace: alert.Workspace, Alert: alert.ID, AlertName: alert.Name}
}

// factData is what is told of a movement or a refund. Figures are absent from what is
// believed no more.
type factData struct {
	head
	// Subject is the same in all that is told of one movement or refund.
	Subject    string `json:"subject"`
	Kind       string `json:"kind"`
	OccurredAt string `json:"occurredAt"`
	KnownAt    string `json:"knownAt,omitempty"`
	Currency   string `json:"currency"`
	figures
	Reason       string `json:"reason,omitempty"`
	ObjectID     string `json:"objectId,omitempty"`
	Customer     string `json:"customer,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Plan         string `json:"plan,omitempty"`
	Product      string `json:"product,omitempty"`
	Provider     string `json:"provider,omitempty"`
	// Previous is what the subscriber was told before.
	Previous *toldBefore `json:"previous,omitempty"`
}

// figures are minor units: of a movement its signed change of MRR, rounded and exact; of
// a refund what was given back.
type figures struct {
	MRRCents    *int64 `json:"mrrCents,omitempty"`
	MRR         string `json:"mrr,omitempty"`
	RefundCents *int64 `json:"refundCents,omitempty"`
}

type toldBefore struct {
	ID string `json:"id"`
	figures
}

func figuresOf(isMovement bool, amount int64) figures {
	if !isMovement {
		amount = -amount
		return figures{RefundCents: &amount}
	}
	rounded := revenue.RoundMRR(amount)
	exact := new(big.Rat).SetFrac64(amount, revenue.MRRScale).FloatString(4)
	return figures{MRRCents: &rounded, MRR: strings.TrimSuffix(strings.TrimRight(exact, "0"), ".")}
}

func instant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

const movement, refund = "movement", "refund"

// family is the first word of the types of what is told of the fact.
func (f *fact) family() string {
	if f.isMovement() {
		return movement
	}
	return refund
}

// first is the type of what is told of the fact first.
func (f *fact) first() string {
	if f.isMovement() {
		return movement + "." + f.Kind
	}
	return refund + ".made"
}

func (f *fact) data() factData {
	return factData{
		Subject: f.subject(), Kind: f.Kind, OccurredAt: instant(f.HappenedAt), KnownAt: instant(f.LatestAt), Currency: f.Currency,
		figures: figuresOf(f.isMovement(), f.figure()), Reason: f.Reason, ObjectID: f.Object, Customer: f.Customer,
		Subscription: f.Subscription, Plan: f.Plan, Product: f.Product, Provider: f.Provider,
	}
}

// retracted is what is said of something that was told and is believed no more.
func retracted(before *clickhouse.Told) (data factData, family string, err error) {
	said := body{Data: &data}
	if err := json.Unmarshal([]byte(before.Body), &said); err != nil {
		return data, "", fmt.Errorf("reading what was told as %s: %w", before.ID, err)
	}
	data.figures, data.KnownAt = figures{}, ""
	family, _, _ = strings.Cut(before.Type, ".")
	return data, family, nil
}

// notification completes what is to be told next about a subject. Its id follows from
// what it says and what was said before, so that whoever finds it out again comes to
// the same.
func (n *Notifier) notification(alert *control.Alert, next clickhouse.Notification, data *factData, before *clickhouse.Told) (clickhouse.Notification, error) {
	data.Previous = nil
	if before != nil {
		next.Previous = before.ID
		if before.Stands {
			data.Previous = &toldBefore{before.ID, figuresOf(strings.HasPrefix(before.Type, movement), before.Amount)}
		}
	}
	return n.complete(alert, next, func(id string) any {
		data.fill(id, alert)
		return data
	})
}

// complete gives a notification its id and body, and has it sent at once.
func (n *Notifier) complete(alert *control.Alert, next clickhouse.Notification, data func(id string) any) (clickhouse.Notification, error) {
	now := n.now()
	next.ID = "ntf_" + digest(alert.ID, next.Subject, next.Previous, next.Type, strconv.FormatInt(next.Amount, 10))
	next.Workspace, next.Alert = alert.Workspace, alert.ID
	next.CreatedAt, next.NextAt, next.Revision, next.State = now, now, now.UnixMicro(), clickhouse.NotificationPending
	text, err := json.Marshal(body{Type: next.Type, Timestamp: instant(now), Data: data(next.ID)})
	if err != nil {
		return next, fmt.Errorf("encoding notification %s: %w", next.ID, err)
	}
	next.Body = string(text)
	return next, nil
}

// digest names something by its parts: 128 bits as hexadecimal digits.
func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d:%s", len(part), part) // a hash never fails
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
