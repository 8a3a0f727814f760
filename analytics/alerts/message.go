package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// message is a notification for people: a line that says what has happened, and lines
// beneath it that say of what.
type message struct{ subject, body string }

// movementNames are what movements are called.
var movementNames = map[string]string{
	"new": "New customer", "reactivation": "Customer is back", "expansion": "Expansion", "contraction": "Contraction", "churn": "Churn",
}

// readable is a notification as it is kept, for people.
func readable(text string) (message, error) {
	var kept struct {
		Type      string          `json:"type"`
		Timestamp string          `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	var about head
	if err := json.Unmarshal([]byte(text), &kept); err != nil {
		return message{}, fmt.Errorf("reading a notification: %w", err)
	}
	var said message
	family, turn, _ := strings.Cut(kept.Type, ".")
	switch family {
	case movement, refund:
		var data factData
		if err := json.Unmarshal(kept.Data, &data); err != nil {
			return message{}, fmt.Errorf("reading a notification: %w", err)
		}
		about, said = data.head, factMessage(family, turn, &data)
	case testType:
		if err := json.Unmarshal(kept.Data, &about); err != nil {
			return message{}, fmt.Errorf("reading a notification: %w", err)
		}
		said.subject = "Test: nothing has happened"
	default:
		var data thresholdData
		if err := json.Unmarshal(kept.Data, &data); err != nil {
			return message{}, fmt.Errorf("reading a notification: %w", err)
		}
		about, said = data.head, thresholdMessage(&data)
	}
	return message{
		subject: oneLine("[" + about.Workspace + "] " + said.subject),
		body:    said.body + lines("Found", moment(kept.Timestamp), "Alert", about.AlertName+" ("+about.Alert+")", "Notification", about.ID),
	}, nil
}

// factMessage is about a movement or a refund.
func factMessage(family, turn string, data *factData) message {
	what, amount := movementNames[data.Kind], amountText(data.figures, data.Currency)
	if family == refund {
		what = "Refund"
	}
	if what == "" {
		what = data.Kind
	}
	subject := what + " of " + amount
	switch turn {
	case "corrected":
		subject = "Corrected: " + strings.ToLower(what) + " is " + amount
		if data.Previous != nil {
			subject += ", was " + amountText(data.Previous.figures, data.Currency)
		}
	case "retracted":
		subject = "Taken back: " + strings.ToLower(what)
		if data.Previous != nil {
			subject += " of " + amountText(data.Previous.figures, data.Currency)
		}
	}
	who := data.Customer
	if who == "" {
		who = data.ObjectID
	}
	if who != "" {
		subject += ", " + who
	}
	return message{subject, lines("When", moment(data.OccurredAt), "Customer", data.Customer, "Subscription", data.Subscription,
		"Plan", data.Plan, "Product", data.Product, "Reason", data.Reason, "Object", data.ObjectID, "Source", data.Provider)}
}

// amountText is MRR a month, or what was given back.
func amountText(f figures, currency string) string {
	switch {
	case f.MRRCents != nil:
		return currency + " " + revenue.FormatAmount(*f.MRRCents, currency) + " MRR"
	case f.RefundCents != nil:
		return currency + " " + revenue.FormatAmount(*f.RefundCents, currency)
	}
	return "nothing"
}

// thresholdMessage is about a figure that passed its threshold, or is back.
func thresholdMessage(data *thresholdData) message {
	value, threshold := measured(data.Value, data.Unit), measured(data.Threshold, data.Unit)
	from := data.Provider + " (" + data.Endpoint + ")"
	subjects := map[control.AlertOn][2]string{
		control.AlertRefundRate:   {"Refund rate is " + value + ", above " + threshold, "Refund rate is back at " + value + ", threshold " + threshold},
		control.AlertMRRDrop:      {"MRR is down by " + value + ", threshold " + threshold, "MRR drop is over: down by " + value + ", threshold " + threshold},
		control.AlertSourceSilent: {"Nothing from " + from + " for " + value, from + " delivers again"},
		control.AlertLag:          {"Answers are " + value + " behind, threshold " + threshold, "Answers are up to date again"},
	}[control.AlertOn(data.On)]
	subject, todo := subjects[1], ""
	if data.Raised {
		subject, todo = subjects[0], map[control.AlertOn]string{
			control.AlertSourceSilent: "See whether the provider still sends: its webhook settings, then `revstream sources`",
			control.AlertLag:          "See the sink's log and the runbook; nothing that was accepted is lost",
		}[control.AlertOn(data.On)]
	}
	money := func(amount *int64) string {
		if amount == nil {
			return ""
		}
		return data.Currency + " " + revenue.FormatAmount(*amount, data.Currency)
	}
	count := func(n *int64) string {
		if n == nil {
			return ""
		}
		return fmt.Sprint(*n)
	}
	return message{subject, lines("Since", moment(data.Since), "As of", moment(data.AsOf), "MRR", money(data.MRRCents),
		"MRR before", money(data.PreviousMRRCents), "Refunds", count(data.Refunds), "of charges", count(data.Charges),
		"Refunded", money(data.RefundCents), "of", money(data.GrossCents), "Last delivery", moment(data.LastDeliveryAt), "What to do", todo)}
}

// measured is a number of thousandths or seconds.
func measured(value int64, unit string) string {
	if unit == unitPerMille {
		return fmt.Sprintf("%d.%d %%", value/10, value%10)
	}
	return (time.Duration(value) * time.Second).String()
}

// lines are names and values, those without a value left out.
func lines(pairs ...string) string {
	var text strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(&text, "%s: %s\n", pairs[i], oneLine(pairs[i+1]))
		}
	}
	return text.String()
}

// moment is an instant without fractions.
func moment(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC")
}

// oneLine keeps what others wrote from looking like lines of ours.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// slackEscapes are what Slack wants written otherwise, so that no text of others becomes a
// mention or a link.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// toSlack is the request for an incoming webhook of Slack.
func toSlack(ctx context.Context, address string, text message) (*http.Request, error) {
	body, err := json.Marshal(map[string]string{"text": slackEscapes.Replace("*" + text.subject + "*\n" + text.body)})
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL cannot be called")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "revstream")
	return request, nil
}
