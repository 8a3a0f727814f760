package stripe

import (
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// integer reads a whole number at the first place that is given; 0 if none is.
func (d *reader) integer(o object, places ...string) (n int64, given bool) {
	value := o.Value(places...)
	if value == nil {
		return 0, false
	}
	number, ok := value.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if !ok || err != nil {
		d.invalid(places[0], "must be a whole number")
		return 0, false
	}
	return n, true
}

// units reads an amount in Stripe's units: not negative, and no larger than an
// amount can be.
func (d *reader) units(o object, places ...string) int64 {
	n, _ := d.integer(o, places...)
	if n < 0 || n > revenue.AmountMax {
		d.invalid(places[0], "%d is not an amount", n)
		return 0
	}
	return n
}

// currency reads the currency of an object.
func (d *reader) currency(o object) money {
	m, ok := moneyOf(o.Text("currency"))
	if !ok {
		d.invalid("currency", "%q is not an ISO 4217 currency", o.Text("currency"))
		return money{multiply: 1, divide: 1}
	}
	return m
}

// amount turns Stripe's units into minor units without rounding.
func (d *reader) amount(m money, units int64) int64 {
	minor, whole := m.minor(units)
	if !whole {
		d.invalid("amount", "%d is not a whole amount of %s, which Stripe sends times %d", units, m.code, m.divide)
	}
	if minor > revenue.AmountMax {
		d.invalid("amount", "%d is too large", minor)
		return 0
	}
	return minor
}

// timestampMost is the year 2200 in Unix seconds: beyond it nothing is planned,
// and not far beyond it stores run out of dates.
const timestampMost = 7258118400

// seconds reads a Unix timestamp; the zero time if none is given.
func (d *reader) seconds(o object, places ...string) time.Time {
	n, given := d.integer(o, places...)
	if !given {
		return time.Time{}
	}
	if n < 0 || n > timestampMost {
		d.invalid(places[0], "%d is not a Unix timestamp", n)
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// moment is seconds of a time that may be unknown.
func (d *reader) moment(o object, places ...string) *time.Time {
	at := d.seconds(o, places...)
	if at.IsZero() {
		return nil
	}
	return &at
}

// note fills the metadata of a statement from the caller's own objects at the places,
// of which later ones override, and notes of ours over them; and its attribution from
// what the caller wrote.
func note(to *revenue.Dimensions, o object, notes map[string]string, places ...string) {
	merged := object{}
	for _, place := range places {
		maps.Copy(merged, o.Child(place)) // older versions send an empty array
	}
	for name, text := range notes {
		merged[name] = text
	}
	connectors.Note(to, object{"metadata": map[string]any(merged)}, "metadata")
}
