package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"revstream/analytics"
	"revstream/cmd/simulation"
)

const exportHelp = `export writes rows of the ledger, or statements, of a workspace to a file: CSV or
NDJSON as one file, Parquet or Arrow as a folder of files, each whole by itself.

The rows are those of one moment, however long it takes and whatever comes in
meanwhile. It can be cut off: the same command goes on after the last part that
was written, as of the same moment. What it goes on from is in a file beside the
export that ends in .resume, which is gone when the export is whole.

Where the service is and the key come from flags, from the variables of demo.env
in the environment, or from demo.env in the data folder, in this order.`

// exportOptions are the flags of export.
type exportOptions struct {
	url, key string
	to       string
	// question are the parameters of /v1/export.
	question url.Values
	rows     int
	// attempts is how often a part that breaks off is asked for.
	attempts int
}

func exportCommand() *cobra.Command {
	o := exportOptions{attempts: 5}
	var workspace, table, format string
	var moments = map[string]*string{"since": new(string), "until": new(string), "asOf": new(string), "changedSince": new(string)}
	var filters map[string]string
	command := &cobra.Command{
		Use: "export", Short: "Write ledger rows or statements to CSV, NDJSON, Parquet or Arrow; goes on where it was cut off",
		Long: exportHelp, Args: usage(cobra.NoArgs),
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			if err := required(map[string]string{"to": o.to}); err != nil {
				return err
			}
			file, err := readDemoFile(config.DataDir)
			if err != nil {
				return err
			}
			o.url = cmp.Or(o.url, os.Getenv(demoURL), file[demoURL], simulation.DefaultOptions().URL)
			o.key = cmp.Or(o.key, os.Getenv(demoSecretKey), file[demoSecretKey])
			o.question = url.Values{"workspaceSlug": {workspace}, "table": {table}, "format": {format}, "limit": {strconv.Itoa(o.rows)}}
			for name, value := range moments {
				if *value != "" {
					o.question.Set(name, *value)
				}
			}
			for name, value := range filters {
				o.question.Set(name, value)
			}
			return o.run(command.Context(), command.OutOrStdout())
		}),
	}
	flags := command.Flags()
	flags.StringVar(&o.url, "url", "", "base address of the service (REVSTREAM_URL)")
	flags.StringVar(&o.key, "key", "", "API key that may read (REVSTREAM_SECRET_KEY)")
	flags.StringVar(&workspace, "workspace", demoWorkspace, "slug of the key's workspace")
	flags.StringVar(&o.to, "to", "", "the file, or for Parquet and Arrow the folder, to write (required)")
	flags.StringVar(&table, "table", "entries", "entries (rows of the ledger) or events (statements)")
	flags.StringVar(&format, "format", "csv", "csv, ndjson, parquet or arrow")
	flags.StringVar(moments["since"], "since", "", "rows that take effect from then on: a date or an instant")
	flags.StringVar(moments["until"], "until", "", "and until then: an instant, or a date, which is included")
	flags.StringVar(moments["asOf"], "as-of", "", "what was known then (default all that is stored)")
	flags.StringVar(moments["changedSince"], "changed-since", "", "only what became known after then")
	flags.StringToStringVar(&filters, "where", nil, "narrow it, for example plan=gold,currency=EUR; see /v1/export")
	flags.IntVar(&o.rows, "rows-per-part", 500_000, "how many rows to ask for at a time")
	return command
}

// run exports part after part.
func (o *exportOptions) run(ctx context.Context, out io.Writer) error {
	target, err := openExportTarget(o.to, o.question)
	if err != nil {
		return err
	}
	client := retryablehttp.NewClient()
	client.Logger, client.RetryMax = nil, 10
	bar := newExportBar()
	defer func() { _ = bar.Finish() }()
	for {
		next, err := o.part(ctx, client.StandardClient(), target, bar)
		if err != nil {
			return fmt.Errorf("exporting to %s: %w", o.to, err)
		}
		if next == "" {
			break
		}
	}
	if err := target.finish(); err != nil {
		return err
	}
	_ = bar.Finish()
	fmt.Fprintf(out, "%d rows as of %s in %s\n", target.Total, target.AsOf, o.to)
	return nil
}

// errBrokenOff is of a part that ended before it was whole.
var errBrokenOff = errors.New("the part broke off")

// part writes the next part, asking again if it breaks off, and tells where the one after
// it begins.
func (o *exportOptions) part(ctx context.Context, client *http.Client, target *exportTarget, bar *progressbar.ProgressBar) (next string, err error) {
	for range o.attempts {
		if next, err = o.attempt(ctx, client, target, bar); !errors.Is(err, errBrokenOff) || ctx.Err() != nil {
			return next, err
		}
	}
	return "", err
}

func (o *exportOptions) attempt(ctx context.Context, client *http.Client, target *exportTarget, bar *progressbar.ProgressBar) (string, error) {
	question := url.Values{}
	for name, values := range o.question {
		question[name] = values
	}
	if target.Next != "" {
		question.Set("after", target.Next)
		question.Del("asOf") // the place says it
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url+analytics.PathExport+"?"+question.Encode(), nil)
	if err != nil {
		return "", fmt.Errorf("asking for a part: %w", err)
	}
	request.Header.Set("X-Api-Key", o.key)
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking for a part: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		problem, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return "", fmt.Errorf("asking for a part: %s: %s", response.Status, problem)
	}
	left, err := strconv.ParseInt(response.Header.Get(analytics.HeaderRowsLeft), 10, 64)
	if err != nil {
		return "", fmt.Errorf("asking for a part: %s %q is no answer of revstream", analytics.HeaderRowsLeft, response.Header.Get(analytics.HeaderRowsLeft))
	}
	next := response.Header.Get(analytics.HeaderNextCursor)
	target.begin(left, response.Header.Get(analytics.HeaderAsOf))
	bar.ChangeMax64(max(target.Total, 1))
	if err := target.write(response.Body, next); err != nil {
		return "", err
	}
	return next, bar.Set64(target.Total - max(0, left-int64(o.rows)))
}

func newExportBar() *progressbar.ProgressBar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progressbar.DefaultSilent(1)
	}
	return progressbar.NewOptions64(1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(30), progressbar.OptionSetDescription("rows"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}
