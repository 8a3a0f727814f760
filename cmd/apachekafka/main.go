// Command apachekafka runs a command beside an Apache Kafka of its own, which ends
// with it. The addresses of the brokers are in the command's environment:
//
//	apachekafka -brokers 3 -- sh -c 'bin/revstream run --kafka-brokers $TEST_KAFKA_BROKERS'
//
// APACHE_KAFKA_JARS has to say where Kafka's jars are: see `make test-kafka`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"revstream/ingest/stream/apachekafka"
	"revstream/ingest/stream/kafkatest"
)

func main() {
	brokers := flag.Int("brokers", 1, "how many brokers")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "apachekafka: which command is to be run?")
		os.Exit(2)
	}
	err := run(*brokers, flag.Args())
	if failed, ran := errors.AsType[*exec.ExitError](err); ran {
		os.Exit(failed.ExitCode()) // it has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apachekafka:", err)
		os.Exit(1)
	}
}

// run starts Kafka, runs the command and ends Kafka. The error may be the command's.
func run(brokers int, command []string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	folder, err := os.MkdirTemp("", "apachekafka-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	cluster, err := apachekafka.Start(ctx, apachekafka.Config{Dir: folder, Brokers: brokers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	beside := exec.CommandContext(ctx, command[0], command[1:]...)
	beside.Cancel = func() error { return beside.Process.Signal(syscall.SIGTERM) }
	beside.WaitDelay = time.Minute
	beside.Env = append(os.Environ(), kafkatest.BrokersVariable+"="+strings.Join(cluster.Addrs(), ","))
	beside.Stdin, beside.Stdout, beside.Stderr = os.Stdin, os.Stdout, os.Stderr
	return beside.Run()
}
