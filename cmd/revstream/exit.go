package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// The exit codes of every command, as documented in its help.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2 // wrong usage or configuration: nothing was started
	exitDifferences = 3 // check or simulate found differences
	exitRunning     = 4 // another process uses the data folder
)

// exitError is an error that knows the exit code it means.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitWith(code int, err error) error { return &exitError{code, err} }

// exitCode is the process's exit code for the error of a command.
func exitCode(err error) int {
	if coded := new(exitError); errors.As(err, &coded) {
		return coded.code
	}
	if errors.As(err, new(*configError)) {
		return exitUsage
	}
	return exitFailure
}

// usage makes a complaint about arguments exit with exitUsage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return exitWith(exitUsage, err)
		}
		return nil
	}
}
