package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"revstream/ingest/control"
)

func alertsCommand() *cobra.Command {
	return commandGroup("alerts", "Have URLs be told of movements, refunds and thresholds, and see what they were told",
		alertsCreateCommand(), alertsListCommand(), alertsRotateCommand(), alertsDeleteCommand(),
		alertsTestCommand(), alertsRedeliverCommand(), alertsLogCommand())
}

const alertsCreateHelp = `Have a URL be told what happens from now on. Notifications are signed as Standard
Webhooks says; the secret is made and printed, or read with --secret-stdin. With
mailto:ops@example.org people are written to instead (alerts.mail has to be set), and with
slack+https://hooks.slack.com/services/… a channel of Slack gets them.

  --on movements      changes of MRR: --kind new --kind churn, --minimum USD=5000
  --on refunds        refunds: --minimum USD=5000 (minor units; a currency without has none)
  --on refund_rate    --percent 5 within a --period 168h, of --charges-min 50; --by-amount
  --on mrr_drop       --percent 10 within a --period 720h
  --on source_silent  a webhook endpoint without deliveries for a --period, or, without
                      one, for longer than ever; --endpoint ID for one of them
  --on lag            answers that lack what was accepted a --period ago`

// shownAlert is an alert with the secret that was made for it, this once.
type shownAlert struct {
	control.Alert
	Secret string `json:"secret,omitempty"`
}

func (a shownAlert) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(a)
	}
	fmt.Fprintf(out, "id      %s\nurl     %s\n", a.ID, a.URL)
	if a.Secret != "" {
		fmt.Fprintf(out, "secret  %s\n", a.Secret)
	}
	return nil
}

func alertsCreateCommand() *cobra.Command {
	var wanted control.NewAlert
	var on, percent string
	var minimums map[string]int64
	var secretFromInput, asJSON bool
	command := &cobra.Command{
		Use: "create", Short: "Have a URL be told what happens", Long: alertsCreateHelp, Args: usage(cobra.NoArgs),
		PreRunE: func(*cobra.Command, []string) (err error) {
			if wanted.Rule.PerMille, err = perMille(percent); err != nil {
				return exitWith(exitUsage, err)
			}
			wanted.Rule.On, wanted.Rule.Minimums = control.AlertOn(on), minimums
			return required(map[string]string{"workspace": wanted.Workspace, "url": wanted.URL, "on": on})
		},
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, _ *site) (err error) {
			if wanted.Secret, err = notificationSecret(command.InOrStdin(), secretFromInput); err != nil {
				return err
			}
			created, err := d.CreateAlert(command.Context(), actor(), wanted)
			if err != nil {
				return err
			}
			return shownAlert{created, madeSecret(created, secretFromInput)}.print(command.OutOrStdout(), asJSON)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&wanted.Workspace, "workspace", "", "workspace that it is for (required)")
	flags.StringVar(&wanted.URL, "url", "", "where notifications go: https://, mailto: or slack+https:// (required)")
	flags.StringVar(&wanted.Name, "name", "", "what to call it (default what it is about)")
	flags.StringVar(&on, "on", "", "movements, refunds, refund_rate, mrr_drop, source_silent or lag (required)")
	flags.StringArrayVar(&wanted.Rule.Kinds, "kind", nil, "kind of movement: "+strings.Join(control.AlertKinds, ", ")+" (repeatable; default all)")
	flags.StringToInt64Var(&minimums, "minimum", nil, "least amount worth telling, CURRENCY=minor units (repeatable)")
	flags.StringVar(&percent, "percent", "", "threshold of a rate, with one decimal at most")
	flags.BoolVar(&wanted.Rule.ByAmount, "by-amount", false, "refund rate of the amount, not of the number")
	flags.Int64Var(&wanted.Rule.ChargesMin, "charges-min", 0, "charges that a refund rate is judged of, at least")
	flags.DurationVar(&wanted.Rule.Period, "period", 0, "time that a threshold is about, like 24h")
	flags.StringVar(&wanted.Rule.Endpoint, "endpoint", "", "webhook endpoint whose silence matters (default any)")
	flags.BoolVar(&secretFromInput, "secret-stdin", false, "read the secret from standard input")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

// perMille reads a percentage; an empty one is none.
func perMille(percent string) (int64, error) {
	if percent == "" {
		return 0, nil
	}
	whole, tenth, _ := strings.Cut(percent, ".")
	if len(tenth) == 0 {
		tenth = "0"
	}
	n, err := strconv.ParseUint(whole+tenth, 10, 16)
	if err != nil || len(tenth) > 1 || n == 0 {
		return 0, fmt.Errorf("--percent %s: a number above 0 with one decimal at most", percent)
	}
	return int64(n), nil
}

// notificationSecret reads a secret, or is none, for one to be made.
func notificationSecret(input io.Reader, fromInput bool) (control.Secret, error) {
	if !fromInput {
		return control.Secret{}, nil
	}
	text, err := io.ReadAll(io.LimitReader(input, secretBytesMax))
	if err != nil {
		return control.Secret{}, fmt.Errorf("reading the secret: %w", err)
	}
	return control.NewSecret(strings.TrimSpace(string(text))), nil
}

// madeSecret is the newest secret, unless somebody gave it.
func madeSecret(alert control.Alert, given bool) string {
	if given || len(alert.Secrets) == 0 {
		return ""
	}
	return alert.Secrets[0].Reveal()
}

func alertsListCommand() *cobra.Command {
	var workspace string
	var asJSON bool
	command := &cobra.Command{
		Use: "list", Short: "List the alerts of a workspace", Args: usage(cobra.NoArgs),
		PreRunE: func(*cobra.Command, []string) error { return required(map[string]string{"workspace": workspace}) },
		RunE: withDirectory(func(command *cobra.Command, _ []string, d *control.Directory, _ *site) error {
			if err := knownWorkspace(d, workspace); err != nil {
				return err
			}
			list := listing{header: "ID\tNAME\tON\tRULE\tSECRETS\tCREATED\tREVOKED\tURL", values: append([]control.Alert{}, d.Alerts(workspace)...)}
			for _, a := range d.Alerts(workspace) {
				list.rows = append(list.rows, []any{a.ID, a.Name, a.Rule.On, ruleText(a.Rule), len(a.Secrets), a.CreatedAt, a.RevokedAt, a.URL})
			}
			return list.print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().StringVar(&workspace, "workspace", "", "workspace (required)")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

// ruleText is what an alert is about, in short.
func ruleText(r control.AlertRule) string {
	words := append([]string{}, r.Kinds...)
	if len(r.Minimums) > 0 {
		words = append(words, fmt.Sprint("from ", r.Minimums))
	}
	if r.PerMille > 0 {
		words = append(words, fmt.Sprintf("%d.%d %%", r.PerMille/10, r.PerMille%10))
	}
	if r.Period > 0 {
		words = append(words, r.Period.String())
	}
	if r.Endpoint != "" {
		words = append(words, r.Endpoint)
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func alertsRotateCommand() *cobra.Command {
	var dropOld, secretFromInput, asJSON bool
	command := &cobra.Command{
		Use: "rotate id", Short: "Give an alert a new secret", Args: usage(cobra.ExactArgs(1)),
		Long: "Give an alert a new secret. The one before goes on signing beside it while the receiver\n" +
			"changes over; run it again with --drop-old to be left with the newest alone.",
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			if dropOld {
				alert, err := d.DropAlertSecrets(command.Context(), actor(), args[0])
				if err != nil {
					return err
				}
				return shownAlert{Alert: alert}.print(command.OutOrStdout(), asJSON)
			}
			secret, err := notificationSecret(command.InOrStdin(), secretFromInput)
			if err != nil {
				return err
			}
			alert, err := d.RotateAlert(command.Context(), actor(), args[0], secret)
			if err != nil {
				return err
			}
			return shownAlert{alert, madeSecret(alert, secretFromInput)}.print(command.OutOrStdout(), asJSON)
		}),
	}
	command.Flags().BoolVar(&dropOld, "drop-old", false, "make no new secret, and forget all but the newest")
	command.Flags().BoolVar(&secretFromInput, "secret-stdin", false, "read the secret from standard input")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func alertsDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete id", Short: "End an alert for good, and drop what was not sent yet", Args: usage(cobra.ExactArgs(1)),
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			alert, err := d.RevokeAlert(command.Context(), actor(), args[0], "")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "deleted %s\n", alert.ID)
			return err
		}),
	}
}

func alertsTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test id", Short: "Send a notification that says nothing but that it is a test", Args: usage(cobra.ExactArgs(1)),
		Long: "Send a notification that says nothing but that it is a test. Whoever tells does so in\nthe next seconds; `alerts log` has what came of it.",
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			return order(command, d, control.AlertOrder{Alert: args[0], Action: control.AlertTest})
		}),
	}
}

func alertsRedeliverCommand() *cobra.Command {
	var since time.Duration
	command := &cobra.Command{
		Use: "redeliver id [notification]", Short: "Send a notification again, or all that were given up", Args: usage(cobra.RangeArgs(1, 2)),
		PreRunE: func(_ *cobra.Command, args []string) error {
			if (len(args) == 2) == (since > 0) {
				return exitWith(exitUsage, fmt.Errorf("a notification, or --since, and not both"))
			}
			return nil
		},
		RunE: withDirectory(func(command *cobra.Command, args []string, d *control.Directory, _ *site) error {
			wanted := control.AlertOrder{Alert: args[0], Action: control.AlertRedeliver}
			if len(args) == 2 {
				wanted.Notification = args[1]
			} else {
				wanted.Since = time.Now().UTC().Add(-since)
			}
			return order(command, d, wanted)
		}),
	}
	command.Flags().DurationVar(&since, "since", 0, "all that were given up and made since so long ago, like 72h")
	return command
}

func order(command *cobra.Command, d *control.Directory, wanted control.AlertOrder) error {
	made, err := d.OrderAlert(command.Context(), actor(), wanted)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(command.OutOrStdout(), "ordered %s of %s; see `revstream alerts log`\n", made.Action, made.Alert)
	return err
}
