package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"revstream/cmd/simulation"
)

const simulateHelp = `simulate plays made-up businesses against a running revstream, through all five
APIs and Stripe's webhook: subscriptions over years, upgrades, trials, refunds,
disputes, corrections; with deliveries that come late, twice, or have to be
retried. It keeps a ledger of the truth that it told, and in the end compares the
service's answers with it, to the cent.

Where the service is and the keys of the workspace come from flags, from the
variables of demo.env in the environment, or from demo.env in the data folder, in
this order. The workspace may hold other data, as long as nobody else writes to it
meanwhile: what was there before is subtracted. Everything stays in it.

The same --seed, --run and --until tell the same stories. A run that repeats an
earlier one adds nothing, which is then what differs.

Exit code 0 means that everything agrees, 3 that figures differ, 1 that not
everything could be told or asked.`

func simulateCommand() *cobra.Command {
	options := simulation.DefaultOptions()
	var doors []string
	var until string
	var verify, asJSON bool
	command := &cobra.Command{
		Use: "simulate", Short: "Play realistic traffic against a running revstream and check its answers",
		Long: simulateHelp, Args: usage(cobra.NoArgs),
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			for _, door := range doors {
				options.Doors = append(options.Doors, simulation.Door(door))
			}
			if err := addressee(&options, config.DataDir, os.Getenv); err != nil {
				return err
			}
			if until != "" {
				if err := options.Until.UnmarshalText([]byte(until)); err != nil {
					return exitWith(exitUsage, fmt.Errorf("--until %q: want an instant like 2026-01-31T00:00:00Z", until))
				}
			}
			options.Verify = verify
			options.Output, options.Terminal = command.ErrOrStderr(), isTerminal(command.ErrOrStderr())
			return simulate(command, options, asJSON)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&options.URL, "url", "", "base address of the service (REVSTREAM_URL)")
	flags.StringVar(&options.SecretKey, "secret-key", "", "API key that may write and read (REVSTREAM_SECRET_KEY)")
	flags.StringVar(&options.Workspace, "workspace", options.Workspace, "slug of the key's workspace")
	flags.StringVar(&options.StripeEndpoint, "stripe-endpoint", "", "id or address of a Stripe webhook endpoint (REVSTREAM_STRIPE_ENDPOINT)")
	flags.StringVar(&options.StripeSecret, "stripe-secret", "", "signing secret of that endpoint (REVSTREAM_STRIPE_SECRET)")
	flags.Uint64Var(&options.Seed, "seed", options.Seed, "decides what happens")
	flags.StringVar(&options.Run, "run", "", "begins every id; made up if not given")
	flags.StringVar(&until, "until", "", "end of the history that is played (default now)")
	flags.IntVar(&options.Years, "years", options.Years, "length of the history")
	flags.StringVar(&options.Currency, "currency", options.Currency, "currency of all amounts: the workspace's")
	flags.StringSliceVar(&doors, "doors", nil, "which of "+doorNames()+" to use (default all)")
	flags.IntVar(&options.Events, "events", options.Events, "how many events to send, repetitions not counted")
	flags.DurationVar(&options.Duration, "duration", 0, "send for this long instead")
	flags.Float64Var(&options.Rate, "rate", 0, "events per second at most; 0 is as fast as possible")
	flags.IntVar(&options.Workers, "workers", options.Workers, "deliveries under way at a time")
	flags.Float64Var(&options.Duplicates, "duplicates", options.Duplicates, "share of deliveries that are sent again")
	flags.Float64Var(&options.Disorder, "disorder", options.Disorder, "share of deliveries that come late")
	flags.IntVar(&options.Window, "window", options.Window, "how many deliveries late they come at most")
	flags.Float64Var(&options.Corrections, "corrections", options.Corrections, "share of facts that are amended or deleted afterwards")
	flags.DurationVar(&options.Patience, "patience", options.Patience, "how long to try while the service is away")
	flags.DurationVar(&options.SettleTimeout, "settle-timeout", options.SettleTimeout, "how long to wait until everything is in the answers")
	flags.BoolVar(&verify, "verify", true, "compare the answers with the truth")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return command
}

func doorNames() string {
	names := make([]string, len(simulation.Doors))
	for i, door := range simulation.Doors {
		names[i] = string(door)
	}
	return strings.Join(names, ", ")
}

// addressee fills in whom to speak to, and as whom, where no flag says so.
func addressee(options *simulation.Options, folder string, environment func(string) string) error {
	file, err := readDemoFile(folder)
	if err != nil {
		return err
	}
	for name, option := range map[string]*string{
		demoURL: &options.URL, demoSecretKey: &options.SecretKey,
		demoStripeEndpoint: &options.StripeEndpoint, demoStripeSecret: &options.StripeSecret,
	} {
		*option = cmp.Or(*option, environment(name), file[name])
	}
	options.URL = cmp.Or(options.URL, simulation.DefaultOptions().URL)
	// The variable may hold the endpoint's whole address.
	options.StripeEndpoint = options.StripeEndpoint[strings.LastIndexByte(options.StripeEndpoint, '/')+1:]
	if err := options.Validate(); err != nil {
		return exitWith(exitUsage, err)
	}
	return nil
}

func simulate(command *cobra.Command, options simulation.Options, asJSON bool) error {
	report, err := simulation.Run(command.Context(), options)
	if asJSON {
		text, encoding := json.MarshalIndent(&report, "", "  ")
		if encoding != nil {
			return errors.Join(err, fmt.Errorf("rendering the report: %w", encoding))
		}
		fmt.Fprintf(command.OutOrStdout(), "%s\n", text)
	} else {
		report.Print(command.OutOrStdout())
	}
	switch {
	case err != nil:
		return fmt.Errorf("simulating: %w", err)
	case len(report.Failures) > 0:
		return fmt.Errorf("simulating: %w: %d deliveries", simulation.ErrIncomplete, len(report.Failures))
	case !report.Exact():
		return exitWith(exitDifferences, fmt.Errorf("%d of %d figures differ from the truth, %d answers contradict themselves",
			len(report.Differences), report.Compared, len(report.Inconsistent)))
	}
	return nil
}

// isTerminal reports whether a person is watching.
func isTerminal(out io.Writer) bool {
	file, isFile := out.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
