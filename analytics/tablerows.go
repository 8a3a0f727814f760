package analytics

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"revstream/ingest/revenue"
)

// tableRows are the rows of a table before they are rounded. A table of customers has
// hundreds of thousands, of which a page is shown, so a row is what has to be known of it
// to find the page.
type tableRows struct {
	exchange *exchange
	rows     []*tableSums
	byPart   map[Part]*tableSums
	room     []tableSums // for the next rows: one by one they would cost more
	factors  map[rateDay]*big.Int
	overflow bool
	// level is what MRR of all rows has come to, and unknown what had no exchange rate.
	level   balance
	unknown *totals
}

// tableSums is what the value of one row adds up to.
type tableSums struct {
	Part
	gross, refunds, mrr  tableAmount
	refundCount, charges int64
	// subscriptions and customers are null of what MRR does not add up by.
	subscriptions, customers int64
}

// tableAmount is an amount in minor units, or in parts of them: own in the answer's
// currency, exact the converted rest, times exactScale; rounded in minor units, such that
// the rows add up.
type tableAmount struct {
	own     int64
	exact   *big.Int
	rounded int64
}

func (s *tableSums) net() int64 { return s.gross.rounded - s.refunds.rounded }

// compareParts orders parts by value, and one value's by who claims it.
func compareParts(a, b *Part) int {
	return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.AttributionType, b.AttributionType))
}

func newTableRows(x *exchange) *tableRows {
	return &tableRows{exchange: x, byPart: map[Part]*tableSums{}, factors: map[rateDay]*big.Int{}, unknown: x.totals(int(flowCount))}
}

// of is the row of a part.
func (t *tableRows) of(part Part) *tableSums {
	row, known := t.byPart[part]
	if !known {
		if len(t.room) == 0 {
			t.room = make([]tableSums, max(16, min(len(t.rows), 4096)))
		}
		row, t.room = &t.room[0], t.room[1:]
		row.Part = part
		t.byPart[part] = row
		t.rows = append(t.rows, row)
	}
	return row
}

// factor is what an amount of the currency and day times exactScale is multiplied by; nil
// if nobody said.
func (t *tableRows) factor(currency string, day time.Time) *big.Int {
	key := rateDay{currency, day.Unix()}
	factor, known := t.factors[key]
	if !known {
		if rate := t.exchange.rate(currency, day); rate != nil {
			factor = new(big.Int).Mul(rate, shiftBetween(currency, t.exchange.into))
		}
		t.factors[key] = factor
	}
	return factor
}

// rateDay is a day in Unix seconds whose rate of a currency applies.
type rateDay struct {
	currency string
	day      int64
}

// addMoney adds what moved in the range.
func (t *tableRows) addMoney(kinds []kindRow) {
	for i := range kinds {
		kind := &kinds[i]
		if kind.cancelled() {
			continue
		}
		flow := flowRow{currency: kind.Currency, day: kind.Day}
		flow.add(kind)
		row := t.of(kind.Part)
		row.refundCount += flow.of(revenue.EntryRefund)
		row.charges += flow.positiveCharges
		if kind.Currency != t.exchange.into && t.factor(kind.Currency, kind.Day) == nil {
			t.unknown.add(kind.Currency, kind.Day, flow.amounts[:])
			continue
		}
		t.add(&row.gross, flow.amounts[flowGross], kind.Currency, kind.Day)
		t.add(&row.refunds, flow.amounts[flowRefund], kind.Currency, kind.Day)
	}
}

// addMRR adds the movements up to the end of the range, and who pays then.
func (t *tableRows) addMRR(moves []movementRow, paying []payingRow, until time.Time) {
	t.level = balanceAt(moves, until)
	for i := range moves {
		row := t.of(moves[i].Part)
		t.add(&row.mrr, moves[i].MRR, moves[i].Currency, t.level.rateDay())
		row.subscriptions += moves[i].Subscriptions
	}
	for i := range paying {
		if row, known := t.byPart[paying[i].Part]; known {
			row.customers += int64(paying[i].Customers)
		}
	}
}

// add adds value to an amount, if there is a rate for it.
func (t *tableRows) add(a *tableAmount, value int64, currency string, day time.Time) {
	if value == 0 {
		return
	}
	if currency == t.exchange.into {
		sum := a.own + value
		t.overflow = t.overflow || (sum > a.own) != (value > 0)
		a.own = sum
		return
	}
	if factor := t.factor(currency, day); factor != nil {
		if a.exact == nil {
			a.exact = new(big.Int)
		}
		a.exact.Add(a.exact, new(big.Int).Mul(big.NewInt(value), factor))
	}
}

// round rounds one amount of every row to minor units, of which a unit of the amount is
// one per divisor, so that the rows add up to the rounded whole, which it returns: each is
// its exact value rounded down or up, those with the greatest remainders up, and the first
// of them where these are equal.
func (t *tableRows) round(divisor int64, amount func(*tableSums) *tableAmount) (int64, error) {
	whole := t.exchange.totals(1)
	whole.exact[0] = new(big.Int)
	for _, row := range t.rows {
		a := amount(row)
		t.overflow = !addAll(whole.own, []int64{a.own}) || t.overflow
		if a.exact != nil {
			whole.exact[0].Add(whole.exact[0], a.exact)
		}
	}
	whole.overflow = t.overflow
	sum, err := whole.rounded(0, divisor)
	if err != nil {
		return 0, err
	}
	var broken []*tableSums // the rows that may have a remainder
	left := sum
	for _, row := range t.rows {
		if a := amount(row); a.exact != nil || a.own%divisor != 0 {
			broken = append(broken, row)
		} else {
			a.rounded = a.own / divisor
			left -= a.rounded
		}
	}
	values := make([]*big.Int, len(broken))
	for i, row := range broken {
		a := amount(row)
		values[i] = new(big.Int).Mul(big.NewInt(a.own), exactScale)
		if a.exact != nil {
			values[i].Add(values[i], a.exact)
		}
	}
	unit := new(big.Int).Mul(exactScale, big.NewInt(divisor))
	inOrder := func(a, b int) int { return compareParts(&broken[a].Part, &broken[b].Part) }
	for i, share := range shareOut(big.NewInt(left), values, unit, inOrder) {
		if !share.IsInt64() {
			return 0, errAmountRange
		}
		amount(broken[i]).rounded = share.Int64()
	}
	return sum, nil
}

// total rounds all rows and returns what they add up to.
func (t *tableRows) total() (*tableSums, error) {
	total := &tableSums{subscriptions: t.level.subscriptions, customers: t.level.customers}
	for _, row := range t.rows {
		total.refundCount += row.refundCount
		total.charges += row.charges
	}
	var err error
	if total.gross.rounded, err = t.round(1, func(s *tableSums) *tableAmount { return &s.gross }); err != nil {
		return nil, err
	}
	if total.refunds.rounded, err = t.round(1, func(s *tableSums) *tableAmount { return &s.refunds }); err != nil {
		return nil, err
	}
	total.mrr.rounded, err = t.round(revenue.MRRScale, func(s *tableSums) *tableAmount { return &s.mrr })
	return total, err
}

// page are the first rows after a place, at most limit, in the order of the sort, and
// whether there are more.
func (t *tableRows) page(sort func(*tableSums) int64, after *tableCursor, limit int) (page []*tableSums, more bool) {
	compare := func(a, b *tableSums) int {
		if c := cmp.Compare(sort(b), sort(a)); c != 0 {
			return c
		}
		return compareParts(&a.Part, &b.Part)
	}
	for _, row := range t.rows {
		if after != nil && placeOf(row, sort).compare(*after) <= 0 {
			continue
		}
		if len(page) > limit && compare(row, page[limit]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(page, row, compare)
		page = slices.Insert(page, at, row)
		page = page[:min(len(page), limit+1)]
	}
	return page[:min(len(page), limit)], len(page) > limit
}

// row is the row as it is shown.
func (s *tableSums) row(withMRR bool) TableRow {
	row := TableRow{
		Part: s.Part, GrossRevenueCents: s.gross.rounded, RefundCents: s.refunds.rounded, NetRevenueCents: s.net(),
		RefundCount: s.refundCount, PositiveChargeCount: s.charges, RefundRate: ratio(s.refundCount, s.charges),
	}
	if withMRR {
		row.MRRCents, row.ActiveSubscriptions, row.Customers = &s.mrr.rounded, &s.subscriptions, &s.customers
		row.ARPACents = average(s.mrr.rounded, s.customers)
	}
	return row
}
