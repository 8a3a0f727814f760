package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/connectors"
	"revstream/connectors/registry"
	"revstream/ingest/archive"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

func deliveriesReplayCommand() *cobra.Command {
	var selection deliverySelection
	var asJSON, dryRun, askAgain bool
	command := &cobra.Command{
		Use: "replay", Short: "Read webhook deliveries again with today's mapping and settings", Args: usage(cobra.NoArgs),
		Long: "Read webhook deliveries again, as they would be read today: after an upgrade that\n" +
			"corrects a mapping, or a change of an endpoint's settings. What they no longer come to\n" +
			"is withdrawn, what is new is stated, all else is left alone; so a second replay changes\n" +
			"nothing, and a replay that was cut off can be run again. The ledger keeps what was\n" +
			"believed before. --dry-run shows what would change.\n\n" +
			"Where reading a delivery takes more than its body, what the provider's API said when it\n" +
			"came is kept, and holds; --ask-again asks for how things are now.",
		PreRunE: func(*cobra.Command, []string) error { return selection.settle() },
		RunE: withBooks(func(command *cobra.Command, directory *control.Directory, store *clickhouse.Cluster, s *site) error {
			if err := knownWorkspace(directory, selection.filter.Workspace); err != nil {
				return err
			}
			out := command.OutOrStdout()
			lines := json.NewEncoder(out)
			replay, err := s.replay(directory, store, askAgain)
			if err != nil {
				return err
			}
			replay.DryRun = dryRun
			var printing error
			replay.Progress = func(change archive.Change) {
				if line, worthwhile := shownChangeOf(change); worthwhile && printing == nil {
					if asJSON {
						printing = lines.Encode(line)
					} else {
						_, printing = fmt.Fprintln(out, line)
					}
				}
			}
			total, err := replay.Run(command.Context(), selection.filter)
			if err == nil {
				err = printing
			}
			if !asJSON {
				verb := "read"
				if dryRun {
					verb = "would read"
				}
				fmt.Fprintf(out, "%s %d deliveries again: %d changed, %d left as they are; %d statements withdrawn, %d made\n",
					verb, total.Deliveries, total.Changed, total.Skipped, total.Withdrawn, total.Stated)
			}
			return err
		}),
	}
	selection.addFlags(command.Flags())
	command.Flags().BoolVar(&askAgain, "ask-again", false, "ask the provider's API again for what it said when the delivery came")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "publish nothing")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line for each delivery that changes or cannot be read again")
	return command
}

// shownChange is what a replay made of a delivery.
type shownChange struct {
	Delivery  string          `json:"delivery"`
	Withdrawn []revenue.Event `json:"withdrawn,omitempty"`
	Stated    []revenue.Event `json:"stated,omitempty"`
	Skipped   string          `json:"skipped,omitempty"`
}

func shownChangeOf(change archive.Change) (line shownChange, worthwhile bool) {
	line = shownChange{Delivery: change.Delivery.ID, Withdrawn: change.Withdrawn, Stated: change.Stated}
	if change.Skipped != nil {
		line.Skipped = change.Skipped.Error()
	}
	return line, line.Skipped != "" || len(line.Withdrawn)+len(line.Stated) > 0
}

// String is the line for people.
func (c shownChange) String() string {
	if c.Skipped != "" {
		return fmt.Sprintf("%s  left as it is: %s", c.Delivery, c.Skipped)
	}
	text := c.Delivery
	for _, e := range c.Withdrawn {
		text += fmt.Sprintf("\n  - %s", statementLine(&e))
	}
	for _, e := range c.Stated {
		text += fmt.Sprintf("\n  + %s", statementLine(&e))
	}
	return text
}

func statementLine(e *revenue.Event) string {
	worth := fmt.Sprintf("%d %s", e.Amount, e.Currency)
	if e.MRR != 0 {
		worth += fmt.Sprintf(", MRR %d.%04d", e.MRR/revenue.MRRScale, e.MRR%revenue.MRRScale)
	}
	if before := e.MRRBeforeDiscounts; before != 0 {
		worth += fmt.Sprintf(", before discounts %d.%04d", before/revenue.MRRScale, before%revenue.MRRScale)
	}
	if e.Deleted {
		worth = "none"
	}
	return fmt.Sprintf("%s %s at %s: %s", e.Kind, e.ObjectID, e.OccurredAt.Format(time.RFC3339), worth)
}

// replay is one with the connectors of this program and the endpoints of the site.
func (s *site) replay(directory *control.Directory, store *clickhouse.Cluster, askAgain bool) (archive.Replay, error) {
	producer, err := stream.NewProducer(s.config.Kafka, nil, zap.NewNop())
	if err != nil {
		return archive.Replay{}, fmt.Errorf("opening a producer: %w", err)
	}
	s.stops.add("producer", producer.Close)
	sources := readers{directory: directory, connectors: map[string]connectors.Connector{}, askAgain: askAgain}
	for _, connector := range registry.New(s.config.Stripe, nil) {
		sources.connectors[connector.Provider] = connector
	}
	return archive.Replay{
		Store: store, Publish: producer.PublishDelivery, Decode: sources.decode, Accepts: sources.accepts, Now: time.Now,
	}, nil
}

// readers read kept deliveries as their endpoints would today.
type readers struct {
	directory  *control.Directory
	connectors map[string]connectors.Connector
	// askAgain asks the provider's API even for what it is known to have said.
	askAgain bool
}

// endpoint is that of a delivery, be it revoked.
func (r readers) endpoint(d *stream.Delivery) (control.Endpoint, bool) {
	for _, endpoint := range r.directory.Endpoints(d.Workspace) {
		if endpoint.ID == d.Endpoint {
			return endpoint, true
		}
	}
	return control.Endpoint{}, false
}

func (r readers) accepts(d *stream.Delivery, livemode bool) bool {
	endpoint, known := r.endpoint(d)
	return known && endpoint.Mode.Accepts(livemode)
}

// decode reads a delivery, with what the provider's API said of it then, and returns beside
// its items what the API has said by now.
func (r readers) decode(ctx context.Context, d *stream.Delivery) ([]connectors.Item, map[string]json.RawMessage, error) {
	endpoint, known := r.endpoint(d)
	connector, supported := r.connectors[d.Provider]
	if !known || !supported {
		return nil, nil, fmt.Errorf("%w: endpoint %s of %s is not known here", archive.ErrNotNow, d.Endpoint, d.Provider)
	}
	settings, err := connector.Settle(endpoint.Settings())
	if err != nil { // a revoked endpoint has lost its credentials
		return nil, nil, fmt.Errorf("%w: settings of endpoint %s: %w", archive.ErrNotNow, d.Endpoint, err)
	}
	answers := &connectors.Answers{}
	if !r.askAgain {
		answers = connectors.NewAnswers(d.Answers)
	}
	items, err := connector.Decode(ctx, connectors.Delivery{
		Workspace: d.Workspace, Integration: d.Endpoint, Account: endpoint.Account, Livemode: endpoint.Mode != control.ModeTest,
		Settings: settings, Header: d.Header, Body: d.Body, ReceivedAt: d.ReceivedAt, Answers: answers,
	})
	return items, answers.Kept(), err
}
