// Command revstream is the one binary of the service: every role, the embedded
// engines and the tools of its operator. It loads the configuration, wires the
// packages together and owns their lifecycles; it holds no rule of the business.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code. An error is printed
// here, once, and nowhere else.
func execute(args []string, stdout, stderr io.Writer) int {
	// The first signal asks for an orderly stop; from then on the default action
	// is back in force, so that a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	fmt.Fprintf(stderr, "revstream: %v\n", err)
	if code == exitUsage && !errors.As(err, new(*configError)) {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", command.CommandPath())
	}
	return code
}

// rootCommand is the tree of all commands.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "revstream",
		Short:         "A durable ledger of revenue, from webhook to exact answer",
		Long:          rootHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitWith(exitUsage, err) })
	addConfigFlags(root.PersistentFlags())
	root.AddCommand(
		runCommand(), ingestCommand(), sinkCommand(), queryCommand(), brokerCommand(), engineCommand(),
		migrateCommand(), checkCommand(), rebuildCommand(), ratesCommand(),
		keysCommand(), workspacesCommand(), endpointsCommand(), deadLettersCommand(), gapsCommand(), sqlUsersCommand(),
		deliveriesCommand(), sourcesCommand(), webhooksCommand(), alertsCommand(), backfillCommand(), reconcileCommand(),
		exportCommand(), simulateCommand(),
		configCommand(), versionCommand(), engineChildCommand(),
	)
	return root
}

// commandGroup is a command that only has sub-commands.
func commandGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short, Args: usage(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	group.AddCommand(commands...)
	return group
}

const rootHelp = `revstream accepts statements about revenue over HTTP, keeps them in Kafka, and
answers from ClickHouse. "revstream run" starts all of it on this machine, with
embedded engines unless real ones are configured.

Every setting can be given as a flag (--set section.key=value), in the
environment (REVSTREAM_SECTION_KEY) or in a YAML file (--config); flags go before
the environment, the environment before the file. "revstream config dump" shows
the outcome.

Exit codes:
  0  done
  1  failure
  2  wrong usage or configuration
  3  check or simulate found differences
  4  already running on this data folder`
