package alerts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// fact is what is believed of one subject: a movement of a customer's MRR, or a refund.
type fact struct {
	Group        string    `ch:"fact_group"`
	Fact         string    `ch:"fact"`
	Kind         string    `ch:"kind"`
	Currency     string    `ch:"currency"`
	SubjectAt    time.Time `ch:"subject_at"`
	Standing     int64     `ch:"standing"`
	MRR          int64     `ch:"mrr"`
	Amount       int64     `ch:"amount"`
	LatestAt     time.Time `ch:"latest_at"`
	HappenedAt   time.Time `ch:"happened_at"`
	Provider     string    `ch:"source"`
	Reason       string    `ch:"cause"`
	Object       string    `ch:"object"`
	Customer     string    `ch:"who"`
	Subscription string    `ch:"subscribed"`
	Plan         string    `ch:"bought_plan"`
	Product      string    `ch:"bought_product"`
}

// isMovement tells a movement from a refund.
func (f *fact) isMovement() bool { return revenue.EntryKind(f.Kind).Family() == revenue.FamilyState }

// figure is what is told of it: of a movement MRR, of a refund money.
func (f *fact) figure() int64 {
	if f.isMovement() {
		return f.MRR
	}
	return f.Amount
}

// subject names it, whatever is corrected about it.
func (f *fact) subject() string {
	return digest(f.Group, f.Fact, f.Kind, f.Currency, fmt.Sprint(f.SubjectAt.UnixMicro()))
}

// wantedBy reports whether somebody who was not told of it yet is to be.
func (f *fact) wantedBy(alert *control.Alert, since time.Time) bool {
	if f.HappenedAt.Before(since) || f.HappenedAt.Before(alert.CreatedAt) {
		return false
	}
	rule := &alert.Rule
	if f.isMovement() != (rule.On == control.AlertMovements) || len(rule.Kinds) > 0 && !slices.Contains(rule.Kinds, f.Kind) {
		return false
	}
	least := rule.Minimums[f.Currency]
	if f.isMovement() {
		least *= revenue.MRRScale
	}
	return max(f.figure(), -f.figure()) >= least
}

// factAlerts are the alerts about facts, by workspace, and the kinds of the ledger that
// they are about.
func factAlerts(all []control.Alert) (map[string][]control.Alert, []string) {
	byWorkspace := map[string][]control.Alert{}
	var kinds []string
	for _, alert := range all {
		switch alert.Rule.On {
		case control.AlertMovements:
			kinds = append(kinds, control.AlertKinds...)
		case control.AlertRefunds:
			kinds = append(kinds, string(revenue.EntryRefund))
		default:
			continue
		}
		byWorkspace[alert.Workspace] = append(byWorkspace[alert.Workspace], alert)
	}
	slices.Sort(kinds)
	return byWorkspace, slices.Compact(kinds)
}

const (
	// lateness is how much later than it says a row may come into the ledger, for the
	// clocks of nodes that accept differ. At each start all of the window is compared.
	lateness = 10 * time.Minute
	// saveInterval is how often it is written down until when everything was looked at: an
	// older time costs work at the next start, nothing else.
	saveInterval = time.Minute
	// groupsAtOnce bounds the groups of one question.
	groupsAtOnce = 1000
)

// lookAtFacts compares what is believed as of a moment with what was told.
func (n *Notifier) lookAtFacts(ctx context.Context, complete time.Time) error {
	first := n.through.IsZero()
	if first {
		var err error
		if n.through, err = n.Store.Answers().AlertProgress(ctx); err != nil {
			return err
		}
		if n.through.IsZero() {
			n.through = complete
		}
	}
	since, seen := n.through.Add(-n.config.Lookback), n.through.Add(-lateness)
	if first {
		seen = since
	}
	byWorkspace, kinds := factAlerts(n.Directory.ActiveAlerts())
	if err := n.compare(ctx, byWorkspace, kinds, since, seen, complete); err != nil {
		if first {
			n.through = time.Time{}
		}
		return err
	}
	n.through = complete
	n.metrics.through.Set(float64(complete.UnixMicro()) / 1e6)
	if now := n.now(); now.Sub(n.saved) >= saveInterval {
		if err := n.Store.SaveAlertProgress(ctx, complete, now); err != nil {
			return err
		}
		n.saved = now
	}
	return nil
}

// compare keeps what has to be told of the groups that changed.
func (n *Notifier) compare(ctx context.Context, byWorkspace map[string][]control.Alert, kinds []string, since, seen, until time.Time) error {
	if len(byWorkspace) == 0 {
		return nil
	}
	var workspaces []string
	for workspace := range byWorkspace {
		workspaces = append(workspaces, workspace)
	}
	type group struct {
		Workspace string `ch:"workspace"`
		Group     string `ch:"fact_group"`
	}
	changed, _, err := clickhouse.Select[group](ctx, n.Store.Answers(), n.sql.changed,
		clickhouse.Named{Name: "workspaces", Value: workspaces}, clickhouse.Named{Name: "kinds", Value: kinds},
		clickhouse.Named{Name: "since", Value: since}, clickhouse.Named{Name: "until", Value: until},
		clickhouse.Named{Name: "seen", Value: seen})
	if err != nil {
		return fmt.Errorf("reading which groups changed: %w", err)
	}
	groups := map[string][]string{}
	for _, g := range changed {
		groups[g.Workspace] = append(groups[g.Workspace], g.Group)
	}
	for workspace, names := range groups {
		for chunk := range slices.Chunk(names, groupsAtOnce) {
			if err := n.compareGroups(ctx, workspace, byWorkspace[workspace], chunk, kinds, since, until); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Notifier) compareGroups(ctx context.Context, workspace string, list []control.Alert, groups, kinds []string, since, until time.Time) error {
	facts, _, err := clickhouse.Select[fact](ctx, n.Store.Answers(), n.sql.facts,
		clickhouse.Named{Name: "workspace", Value: workspace}, clickhouse.Named{Name: "groups", Value: groups},
		clickhouse.Named{Name: "kinds", Value: kinds}, clickhouse.Named{Name: "until", Value: until})
	if err != nil {
		return fmt.Errorf("reading facts of %d groups: %w", len(groups), err)
	}
	told, err := n.Store.Answers().Told(ctx, workspace, groups)
	if err != nil {
		return err
	}
	var missing []clickhouse.Notification
	for i := range list {
		more, err := n.missing(&list[i], facts, toldTo(told, list[i].ID), since)
		if err != nil {
			return err
		}
		missing = append(missing, more...)
	}
	return n.keep(ctx, missing)
}

// toldTo is what one alert was told last, by subject.
func toldTo(all []clickhouse.Told, alert string) map[string]*clickhouse.Told {
	bySubject := map[string]*clickhouse.Told{}
	for i := range all {
		if all[i].Alert == alert {
			bySubject[all[i].Subject] = &all[i]
		}
	}
	return bySubject
}

// missing is what an alert has to be told, for what it was told to be what is believed.
func (n *Notifier) missing(alert *control.Alert, facts []fact, told map[string]*clickhouse.Told, since time.Time) ([]clickhouse.Notification, error) {
	var list []clickhouse.Notification
	tell := func(next clickhouse.Notification, data factData, before *clickhouse.Told) error {
		made, err := n.notification(alert, next, &data, before)
		list = append(list, made)
		return err
	}
	believed := map[string]bool{}
	for i := range facts {
		f := &facts[i]
		subject := f.subject()
		before := told[subject]
		next := clickhouse.Notification{Subject: subject, Group: f.Group, Stands: true, Amount: f.figure()}
		believed[subject] = true
		switch {
		case before != nil && before.Stands && before.Amount == next.Amount:
			continue
		case before != nil && before.Stands:
			next.Type = f.family() + ".corrected"
		case f.wantedBy(alert, since):
			next.Type = f.first()
		default:
			continue
		}
		if err := tell(next, f.data(), before); err != nil {
			return nil, err
		}
	}
	for subject, before := range told {
		if !before.Stands || believed[subject] {
			continue
		}
		data, family, err := retracted(before)
		if err != nil {
			return nil, err
		}
		if err := tell(clickhouse.Notification{Subject: subject, Group: before.Group, Type: family + ".retracted"}, data, before); err != nil {
			return nil, err
		}
	}
	return list, nil
}
