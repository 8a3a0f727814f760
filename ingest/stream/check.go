package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"revstream/ingest/revenue"
)

// mrrMax bounds MRR in 1/10,000 minor units, as revenue.AmountMax does amounts.
const mrrMax = revenue.AmountMax * revenue.MRRScale

// metadataDepthMax bounds the levels of metadata, so that no record can exhaust
// the stack of a reader, in whatever language it is written.
const metadataDepthMax = 64

// Every time of a statement lies in [timeMin, timeMax): what a 32-bit DateTime
// holds, with room at both ends for any time zone. A term that ends later is for
// all purposes without end, and has to be given without one.
var (
	timeMin = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)
	timeMax = time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC)
)

// TimeBounds are the bounds of every time of a statement, half open. Connectors
// leave out an end at or beyond the upper one.
func TimeBounds() (from, until time.Time) { return timeMin, timeMax }

// check holds a statement against the rules that encoder and decoder share:
// what is accepted once is read for ever.
func check(e *revenue.Event) error {
	if err := checkIdentity(e); err != nil {
		return err
	}
	if err := checkTimes(e); err != nil {
		return err
	}
	if err := checkMetadata(jsontext.Value(e.Metadata)); err != nil {
		return err
	}
	return checkMoney(e)
}

func checkIdentity(e *revenue.Event) error {
	for _, part := range [...]struct{ name, text string }{
		{"workspace", e.Workspace}, {"provider", e.Provider}, {"object_id", e.ObjectID},
		{"kind", string(e.Kind)}, {"group", e.Group},
	} {
		if part.text == "" {
			return fmt.Errorf("%s is missing", part.name)
		}
	}
	if strings.ContainsRune(e.Workspace, '|') {
		return errors.New("workspace contains |, which separates it from the group")
	}
	for _, text := range [...]string{e.Workspace, e.Provider, e.Account, e.ObjectID, e.TestClock, e.Group} {
		if !utf8.ValidString(text) {
			return errors.New("identity is not UTF-8")
		}
	}
	if !slices.Contains(revenue.Kinds, e.Kind) {
		return fmt.Errorf("kind %q is unknown", e.Kind)
	}
	return nil
}

// instant is a time of a statement by its name; at is nil if it is not given.
type instant struct {
	name string
	at   *time.Time
}

// instants lists the times of a statement.
func instants(e *revenue.Event) [6]instant {
	return [...]instant{
		{"occurred_at", &e.OccurredAt}, {"received_at", &e.ReceivedAt},
		{"ends_at", e.EndsAt}, {"cancel_requested_at", e.CancelRequestedAt},
		{"period_start", e.PeriodStart}, {"period_end", e.PeriodEnd},
	}
}

func checkTimes(e *revenue.Event) error {
	for _, i := range instants(e) {
		switch {
		case i.at == nil:
		case i.at.IsZero():
			return fmt.Errorf("%s is missing", i.name)
		case i.at.Before(timeMin) || !i.at.Before(timeMax):
			return fmt.Errorf("%s is outside [%d, %d)", i.name, timeMin.Year(), timeMax.Year())
		}
	}
	return nil
}

// checkMetadata holds metadata to an object of bounded depth; that it is JSON, the
// library says when it reads or writes it.
func checkMetadata(metadata jsontext.Value) error {
	if len(metadata) == 0 {
		return nil
	}
	if metadata.Kind() != '{' {
		return errors.New("metadata is not an object")
	}
	if bytes.Count(metadata, []byte("{"))+bytes.Count(metadata, []byte("[")) <= metadataDepthMax {
		return nil // whatever it is, it cannot be deeper
	}
	tokens := jsontext.NewDecoder(bytes.NewReader(metadata), jsontext.AllowInvalidUTF8(true))
	for {
		switch _, err := tokens.ReadToken(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("metadata: %w", err)
		case tokens.StackDepth() > metadataDepthMax:
			return fmt.Errorf("metadata has more than %d levels", metadataDepthMax)
		}
	}
}

func checkMoney(e *revenue.Event) error {
	for part, amount := range [...]int64{e.Amount, e.Tax, e.Fee, e.Discount} {
		if part == 0 && e.Kind == revenue.KindFee {
			amount = max(amount, -amount) // one that was given back is below zero
		}
		if amount < 0 || amount > revenue.AmountMax {
			return fmt.Errorf("amount %d is outside [0, %d]", amount, revenue.AmountMax)
		}
	}
	if e.MRR < -mrrMax || e.MRR > mrrMax || e.MRR < 0 && e.Kind != revenue.KindMRRDelta {
		return fmt.Errorf("mrr %d is out of range for %s", e.MRR, e.Kind)
	}
	termed := e.Kind == revenue.KindSubscription || e.Kind == revenue.KindPeriod
	if before := e.MRRBeforeDiscounts; before != 0 && (!termed || before <= e.MRR || before > mrrMax) {
		return fmt.Errorf("mrr_before_discounts %d is out of range for %s of mrr %d", before, e.Kind, e.MRR)
	}
	if e.Currency == "" {
		if e.Amount != 0 || e.Tax != 0 || e.Fee != 0 || e.Discount != 0 || e.MRR != 0 || e.MRRBeforeDiscounts != 0 {
			return errors.New("money without currency")
		}
		return nil
	}
	if _, known := revenue.Exponent(e.Currency); !known {
		return fmt.Errorf("currency %q: %w", e.Currency, revenue.ErrCurrency)
	}
	return nil
}
