package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/term"

	"revstream/connectors"
	"revstream/ingest/backfill"
	"revstream/ingest/control"
	"revstream/ingest/stream"
)

// pastSelection says whose past a command is about, and which part of it.
type pastSelection struct {
	provider, workspace, endpoint string
	connected, since, until       string
	perSecond                     float64
	window                        connectors.Window
}

func (p *pastSelection) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&p.endpoint, "endpoint", "", "the webhook endpoint whose provider, account and api_key are meant")
	flags.StringVar(&p.workspace, "workspace", "", "the workspace whose only endpoint of PROVIDER is meant")
	flags.StringVar(&p.connected, "connected", "", "the connected account to read on behalf of, for platforms")
	flags.StringVar(&p.since, "since", "", "from when on: a date, an instant, or how long ago (required)")
	flags.StringVar(&p.until, "until", "", "until when: the same (default now)")
	flags.Float64Var(&p.perSecond, "per-second", backfill.DefaultPatience().PerSecond, "the most requests a second")
}

// settle checks the arguments and flags.
func (p *pastSelection) settle(args []string) error {
	if len(args) > 0 {
		p.provider = args[0]
	}
	if (p.provider == "") == (p.endpoint == "") {
		return exitWith(exitUsage, errors.New("PROVIDER or --endpoint is required, and not both"))
	}
	if err := required(map[string]string{"since": p.since}); err != nil {
		return err
	}
	now := time.Now()
	var err error
	if p.window.From, err = moment("since", p.since, now); err != nil {
		return err
	}
	if p.window.Until, err = moment("until", p.until, now); err != nil {
		return err
	}
	if p.window.Until.IsZero() {
		p.window.Until = now.UTC()
	}
	p.window.From, p.window.Until = p.window.From.Truncate(time.Second), p.window.Until.Truncate(time.Second)
	switch {
	case !p.window.From.Before(p.window.Until):
		return exitWith(exitUsage, errors.New("--since is not before --until"))
	case !(p.perSecond > 0):
		return exitWith(exitUsage, fmt.Errorf("--per-second %v: must be positive", p.perSecond))
	}
	return nil
}

// past finds the endpoint's connector and settings.
func (p *pastSelection) past(d *control.Directory) (connectors.Connector, connectors.Past, control.Endpoint, error) {
	endpoint, err := p.find(d)
	if err != nil {
		return connectors.Connector{}, connectors.Past{}, endpoint, err
	}
	connector, err := connectorOf(endpoint.Provider)
	if err != nil {
		return connector, connectors.Past{}, endpoint, err
	}
	if connector.History == nil {
		return connector, connectors.Past{}, endpoint, exitWith(exitUsage, fmt.Errorf("the past of %s cannot be read here", connector.Title))
	}
	patience := backfill.DefaultPatience()
	patience.PerSecond = p.perSecond
	past, err := backfill.PastOf(connector, endpoint, p.connected, patience, time.Now())
	return connector, past, endpoint, err
}

// find finds the endpoint that is meant: by its id, or as the only one of its provider.
func (p *pastSelection) find(d *control.Directory) (control.Endpoint, error) {
	if p.endpoint != "" {
		return d.FindEndpoint(p.endpoint)
	}
	var found []control.Endpoint
	var ids []string
	for _, workspace := range d.Workspaces() {
		if p.workspace != "" && p.workspace != workspace.Slug && p.workspace != workspace.ID {
			continue
		}
		for _, endpoint := range d.Endpoints(workspace.ID) {
			if endpoint.Provider == p.provider && endpoint.RevokedAt.IsZero() {
				found, ids = append(found, endpoint), append(ids, endpoint.ID+" of "+workspace.Slug)
			}
		}
	}
	switch len(found) {
	case 0:
		return control.Endpoint{}, exitWith(exitUsage, fmt.Errorf("there is no endpoint of the provider %q", p.provider))
	case 1:
		return found[0], nil
	}
	return control.Endpoint{}, exitWith(exitUsage, fmt.Errorf("say which by --workspace or --endpoint: %s", strings.Join(ids, ", ")))
}

func backfillCommand() *cobra.Command {
	var selection pastSelection
	var dryRun bool
	command := &cobra.Command{
		Use: "backfill [PROVIDER]", Short: "Read a provider's past from its API: the years before, and what an outage lost", Args: usage(cobra.MaximumNArgs(1)),
		Long: "Read a provider's past from its API: the years before there was an endpoint, and what an\n" +
			"outage lost. It makes the same statements as deliveries do, so what is known already costs\n" +
			"nothing. It can be cut off: the same command goes on where it was. Where the API refuses\n" +
			"for its rate it waits. --dry-run reads and counts, and publishes nothing.\n\n" +
			"The endpoint needs the setting api_key. Paddle's and Chargebee's objects are chosen by when\n" +
			"they changed, Stripe's by when they were created; so of Stripe run it with a long --since\n" +
			"now and then, for what happens to old objects.",
		PreRunE: func(_ *cobra.Command, args []string) error { return selection.settle(args) },
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, s *site) error {
			connector, past, endpoint, err := selection.past(d)
			if err != nil {
				return err
			}
			run := backfill.Run{History: connector.History, Past: past, Window: selection.window, Accepts: endpoint.Mode.Accepts}
			place := checkpointFile{path: filepath.Join(s.config.DataDir, "backfill-"+endpoint.ID+".json"), of: checkpointOf{
				Endpoint: endpoint.ID, Connected: selection.connected, Since: selection.since, Until: selection.until, DryRun: dryRun,
			}}
			if !dryRun {
				producer, err := stream.NewProducer(s.config.Kafka, nil, zap.NewNop())
				if err != nil {
					return fmt.Errorf("opening a producer: %w", err)
				}
				s.stops.add("producer", producer.Close)
				run.Publish = producer.Publish
			}
			return doBackfill(command.Context(), command.OutOrStdout(), run, place, dryRun)
		}),
	}
	selection.addFlags(command)
	command.Flags().BoolVar(&dryRun, "dry-run", false, "read and count, and publish nothing")
	return command
}

func doBackfill(ctx context.Context, out io.Writer, run backfill.Run, place checkpointFile, dryRun bool) error {
	held, resumed, err := place.load()
	if err != nil {
		return err
	}
	if resumed {
		run.From, run.Window = held.Checkpoint, held.Window
		fmt.Fprintf(out, "goes on after %d objects\n", run.From.Objects)
	}
	run.Save = func(at backfill.Checkpoint) error { return place.save(at, run.Window) }
	bar := newBackfillBar()
	run.Progress = bar.show
	total, err := run.Do(ctx)
	bar.end()
	verb := "read"
	if dryRun {
		verb = "would make of"
	}
	fmt.Fprintf(out, "%s %d objects: %d statements, %d of them estimated; %d unreadable, %d of the other mode\n",
		verb, total.Objects, total.Statements, total.Estimated, total.Unreadable, total.OtherMode)
	if err != nil && !errors.As(err, new(*backfill.Unreadable)) {
		return fmt.Errorf("%w; the same command goes on from here", err)
	}
	return errors.Join(err, place.remove())
}

// checkpointOf is what a checkpoint is of: another question begins anew.
type checkpointOf struct {
	Endpoint, Connected, Since, Until string
	DryRun                            bool
}

// checkpointFile keeps how far a backfill has come.
type checkpointFile struct {
	path string
	of   checkpointOf
}

type heldCheckpoint struct {
	Of         checkpointOf
	Window     connectors.Window
	Checkpoint backfill.Checkpoint
}

func (c checkpointFile) load() (held heldCheckpoint, found bool, err error) {
	text, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return held, false, nil
	}
	if err != nil {
		return held, false, fmt.Errorf("reading the checkpoint: %w", err)
	}
	if err := json.Unmarshal(text, &held); err != nil {
		return held, false, fmt.Errorf("reading the checkpoint %s (remove it to begin anew): %w", c.path, err)
	}
	return held, held.Of == c.of, nil
}

func (c checkpointFile) save(at backfill.Checkpoint, window connectors.Window) error {
	text, err := json.Marshal(heldCheckpoint{c.of, window, at})
	if err != nil {
		return fmt.Errorf("rendering the checkpoint: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the checkpoint: %w", err)
	}
	return replaceFile(c.path, text)
}

func (c checkpointFile) remove() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the checkpoint: %w", err)
	}
	return nil
}

// backfillBar shows how far a backfill is, at which rate, and how long it will take.
type backfillBar struct{ bar *progressbar.ProgressBar }

func newBackfillBar() backfillBar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return backfillBar{progressbar.DefaultSilent(barScale)}
	}
	return backfillBar{progressbar.NewOptions(barScale, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())}
}

func (b backfillBar) show(at backfill.Checkpoint, extent backfill.Extent) {
	b.bar.Describe(fmt.Sprintf("%s, %d objects", extent.Streams[min(at.Stream, len(extent.Streams)-1)], at.Objects))
	_ = b.bar.Set(int(barScale * extent.Done(at))) // a closed terminal is no reason to stop
}

func (b backfillBar) end() { _ = b.bar.Finish() }
