package alerts

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"revstream/analytics"
	"revstream/clickhouse"
	"revstream/ingest/control"
)

// reading is a figure and the threshold that it is held against.
type reading struct {
	// about is the webhook endpoint that it is of, or empty.
	about string
	// crossed: there is something to tell.
	crossed bool
	// amount is what is compared: thousandths, or seconds.
	amount int64
	data   thresholdData
}

// thresholdData is what is told of a threshold. Of a rate there are thousandths, of a
// silence or a lag seconds.
type thresholdData struct {
	head
	Subject string `json:"subject"`
	On      string `json:"on"`
	// Raised is whether the threshold is passed, AsOf the moment that this is true of.
	Raised bool   `json:"raised"`
	AsOf   string `json:"asOf"`
	// Value is the figure and Threshold what it was held against, in Unit.
	Value     int64  `json:"value"`
	Threshold int64  `json:"threshold"`
	Unit      string `json:"unit"`
	// Since is when the period began, if it is about one.
	Since    string `json:"since,omitempty"`
	Currency string `json:"currency,omitempty"`
	// Of MRR: what it was and is; of refunds: what they are a part of.
	MRRCents         *int64 `json:"mrrCents,omitempty"`
	PreviousMRRCents *int64 `json:"previousMrrCents,omitempty"`
	Refunds          *int64 `json:"refunds,omitempty"`
	Charges          *int64 `json:"charges,omitempty"`
	RefundCents      *int64 `json:"refundCents,omitempty"`
	GrossCents       *int64 `json:"grossCents,omitempty"`
	Endpoint         string `json:"endpoint,omitempty"`
	Provider         string `json:"provider,omitempty"`
	LastDeliveryAt   string `json:"lastDeliveryAt,omitempty"`
}

const (
	unitPerMille = "per_mille"
	unitSeconds  = "seconds"
)

// errUnknowable says that a threshold cannot be judged now: a currency has no rate, or
// there is nothing to compare with. What was told stands.
var errUnknowable = errors.New("cannot be judged now")

// judge holds figures against thresholds and tells of those that were passed, and of
// those that are no longer.
func (n *Notifier) judge(ctx context.Context, complete time.Time) error {
	now := n.now()
	if now.Sub(n.judged) < n.config.ThresholdInterval {
		return nil
	}
	n.judged = now
	var faults []error
	for _, alert := range n.Directory.ActiveAlerts() {
		if alert.Rule.On == control.AlertMovements || alert.Rule.On == control.AlertRefunds ||
			complete.IsZero() && alert.Rule.On != control.AlertLag {
			continue
		}
		if err := n.judgeOne(ctx, &alert, complete, now); err != nil && !errors.Is(err, errUnknowable) {
			faults = append(faults, fmt.Errorf("alert %s on %s: %w", alert.ID, alert.Rule.On, err))
		}
	}
	return errors.Join(faults...)
}

func (n *Notifier) judgeOne(ctx context.Context, alert *control.Alert, complete, now time.Time) error {
	told, err := n.Store.Answers().Told(ctx, alert.Workspace, []string{""})
	if err != nil {
		return err
	}
	before := toldTo(told, alert.ID)
	readings, err := n.read(ctx, alert, complete, now, time.Time{})
	if err != nil {
		return err
	}
	for i := range readings {
		if changes(before, &readings[i]) && exactly(alert.Rule.On) {
			// The rollups may lag behind the ledger for a moment, after a crash say. What is
			// told has to be true for good.
			if readings, err = n.read(ctx, alert, complete, now, complete); err != nil {
				return err
			}
			break
		}
	}
	var list []clickhouse.Notification
	for i := range readings {
		r := &readings[i]
		if !changes(before, r) {
			continue
		}
		next := clickhouse.Notification{Subject: r.about, Stands: r.crossed, Amount: r.amount, Type: string(alert.Rule.On) + ".cleared"}
		if r.crossed {
			next.Type = string(alert.Rule.On) + ".raised"
		}
		if last := before[r.about]; last != nil {
			next.Previous = last.ID
		}
		r.data.Subject, r.data.On, r.data.Raised, r.data.Value = r.about, string(alert.Rule.On), r.crossed, r.amount
		made, err := n.complete(alert, next, func(id string) any {
			r.data.fill(id, alert)
			return &r.data
		})
		if err != nil {
			return err
		}
		list = append(list, made)
	}
	return n.keep(ctx, list)
}

// changes reports whether the subscriber believes otherwise.
func changes(told map[string]*clickhouse.Told, r *reading) bool {
	before := told[r.about]
	return r.crossed != (before != nil && before.Stands)
}

// exactly reports whether the figure can be asked for as of a moment.
func exactly(on control.AlertOn) bool {
	return on == control.AlertRefundRate || on == control.AlertMRRDrop
}

// read works out the figures of an alert as of a moment.
func (n *Notifier) read(ctx context.Context, alert *control.Alert, complete, now, asOf time.Time) ([]reading, error) {
	switch alert.Rule.On {
	case control.AlertLag:
		return lag(&alert.Rule, complete, now), nil
	case control.AlertSourceSilent:
		return n.silences(ctx, alert, complete)
	}
	workspace, known := n.Directory.Workspace(alert.Workspace)
	if !known {
		return nil, fmt.Errorf("workspace %s: %w", alert.Workspace, control.ErrUnknown)
	}
	since := complete.Add(-alert.Rule.Period)
	current, previous, err := n.Figures.Figures(ctx, workspace, analytics.Period{Since: since, Until: complete},
		analytics.Period{Since: since.Add(-alert.Rule.Period), Until: since}, asOf)
	if err != nil {
		return nil, err
	}
	var r reading
	if alert.Rule.On == control.AlertMRRDrop {
		r, err = mrrDrop(&alert.Rule, &current, &previous)
	} else {
		r, err = refundRate(&alert.Rule, &current)
	}
	r.data.AsOf, r.data.Since, r.data.Currency = instant(complete), instant(since), current.Currency
	return []reading{r}, err
}

// refundRate is over the threshold if more than that was given back, by the number of
// charges or by their amount. Without enough charges there is nothing to worry about.
func refundRate(rule *control.AlertRule, s *analytics.Summary) (reading, error) {
	part, whole := s.RefundCount, s.PositiveChargeCount
	if rule.ByAmount {
		if len(s.Unconverted) > 0 {
			return reading{}, errUnknowable
		}
		part, whole = s.RefundCents, s.GrossRevenueCents
	}
	r := reading{data: thresholdData{
		Threshold: rule.PerMille, Unit: unitPerMille, Refunds: &s.RefundCount, Charges: &s.PositiveChargeCount,
		RefundCents: &s.RefundCents, GrossCents: &s.GrossRevenueCents,
	}}
	r.amount = perMille(part, whole)
	r.crossed = s.PositiveChargeCount >= rule.ChargesMin && against(part, whole, rule.PerMille) > 0
	return r, nil
}

// mrrDrop is over the threshold if MRR is lower than it was by at least as much.
func mrrDrop(rule *control.AlertRule, now, before *analytics.Summary) (reading, error) {
	if len(now.Unconverted)+len(before.Unconverted) > 0 {
		return reading{}, errUnknowable
	}
	lost := max(0, before.MRRCents-now.MRRCents)
	r := reading{amount: perMille(lost, before.MRRCents), data: thresholdData{
		Threshold: rule.PerMille, Unit: unitPerMille, MRRCents: &now.MRRCents, PreviousMRRCents: &before.MRRCents,
	}}
	r.crossed = against(lost, before.MRRCents, rule.PerMille) >= 0
	return r, nil
}

// perMille is a part in thousandths of the whole, cut off; 0 of nothing.
func perMille(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	thousandfold := new(big.Int).Mul(big.NewInt(part), big.NewInt(1000))
	return thousandfold.Quo(thousandfold, big.NewInt(whole)).Int64()
}

// against compares a part of the whole with so many thousandths of it: -1, 0 or 1. Of
// nothing there is no part.
func against(part, whole, threshold int64) int {
	if whole <= 0 {
		return -1
	}
	return big.NewRat(part, whole).Cmp(big.NewRat(threshold, 1000))
}

// lag is of the answers, whoever's they are.
func lag(rule *control.AlertRule, complete, now time.Time) []reading {
	r := reading{data: thresholdData{Threshold: seconds(rule.Period), Unit: unitSeconds, AsOf: instant(now)}}
	if !complete.IsZero() {
		r.amount = seconds(now.Sub(complete))
		r.crossed = now.Sub(complete) > rule.Period
		r.data.Since = instant(complete)
	}
	return []reading{r}
}

// silenceDays are those that a usual pause is worked out from.
const silenceDays = 30

// silences are of the webhook endpoints. They are judged as of the moment before which
// everything is stored: while nothing is, nobody is silent.
func (n *Notifier) silences(ctx context.Context, alert *control.Alert, complete time.Time) ([]reading, error) {
	heard, err := n.Store.Answers().Sources(ctx, alert.Workspace, complete.AddDate(0, 0, -silenceDays), complete)
	if err != nil {
		return nil, err
	}
	byEndpoint := map[string]*clickhouse.Source{}
	for i := range heard {
		byEndpoint[heard[i].Endpoint] = &heard[i]
	}
	var list []reading
	for _, endpoint := range n.Directory.Endpoints(alert.Workspace) {
		if !endpoint.RevokedAt.IsZero() || alert.Rule.Endpoint != "" && alert.Rule.Endpoint != endpoint.ID {
			continue
		}
		list = append(list, silence(&alert.Rule, &endpoint, byEndpoint[endpoint.ID], complete))
	}
	return list, nil
}

func silence(rule *control.AlertRule, endpoint *control.Endpoint, heard *clickhouse.Source, complete time.Time) reading {
	r := reading{about: endpoint.ID, data: thresholdData{
		Threshold: seconds(rule.Period), Unit: unitSeconds, AsOf: instant(complete), Endpoint: endpoint.ID, Provider: endpoint.Provider,
	}}
	last := endpoint.CreatedAt
	if heard != nil && heard.Deliveries > 0 {
		last = heard.LastDelivery
		r.data.LastDeliveryAt = instant(last)
	}
	r.amount = max(0, seconds(complete.Sub(last)))
	switch {
	case rule.Period > 0:
		r.crossed = complete.Sub(last) > rule.Period
	case heard != nil:
		r.crossed = heard.Silent(complete)
		r.data.Threshold = seconds(heard.UsualPause)
	}
	return r
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
