package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"revstream/ingest/revenue"
)

// mrrMax bounds MRR in 1/10,000 minor units, as revenue.AmountMax does amounts.
const mrrMax = revenue.AmountMax * revenue.MRRScale

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
	return checkMoney(e)
}

func checkIdentity(e *revenue.Event) error {
	for i := range members {
		m := &members[i]
		if m.required && m.text != nil && *m.text(e) == "" {
			return fmt.Errorf("%s is missing", m.name)
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

func checkTimes(e *revenue.Event) error {
	for i := range members {
		m := &members[i]
		var at *time.Time
		switch {
		case m.instant != nil:
			at = m.instant(e)
		case m.moment != nil:
			at = *m.moment(e)
		}
		if at == nil {
			continue
		}
		if m.required && at.IsZero() {
			return fmt.Errorf("%s is missing", m.name)
		}
		if at.Before(timeMin) || !at.Before(timeMax) {
			return fmt.Errorf("%s is outside [%d, %d)", m.name, timeMin.Year(), timeMax.Year())
		}
	}
	return nil
}

func checkMoney(e *revenue.Event) error {
	for _, amount := range [...]int64{e.Amount, e.Tax, e.Fee, e.Discount} {
		if amount < 0 || amount > revenue.AmountMax {
			return fmt.Errorf("amount %d is outside [0, %d]", amount, revenue.AmountMax)
		}
	}
	if e.MRR < -mrrMax || e.MRR > mrrMax || e.MRR < 0 && e.Kind != revenue.KindMRRDelta {
		return fmt.Errorf("mrr %d is out of range for %s", e.MRR, e.Kind)
	}
	if e.Currency == "" {
		if e.Amount != 0 || e.Tax != 0 || e.Fee != 0 || e.Discount != 0 || e.MRR != 0 {
			return errors.New("money without currency")
		}
		return nil
	}
	if _, known := revenue.Exponent(e.Currency); !known {
		return fmt.Errorf("currency %q: %w", e.Currency, revenue.ErrCurrency)
	}
	return nil
}
