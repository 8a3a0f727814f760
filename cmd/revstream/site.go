package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// site is the Kafka and ClickHouse that an operator's command works on: those of
// the configuration; or those that a running process on the same data folder has
// embedded; or, if none runs, embedded ones started for the command alone.
type site struct {
	config Config // with the addresses of what is to be used
	log    *zap.Logger
	stops  stops
}

// needs says which engines a command wants.
type needs struct{ kafka, clickhouse bool }

var (
	kafkaOnly   = needs{kafka: true}
	bothEngines = needs{kafka: true, clickhouse: true}
)

// withSite is the body of a command that works on engines.
func withSite(wanted needs, body func(command *cobra.Command, args []string, s *site) error) func(*cobra.Command, []string) error {
	return withConfig(func(command *cobra.Command, args []string, config Config) error {
		if !command.Flags().Changed("log-level") && config.Log.Level == "info" {
			config.Log.Level = "warn" // the answer is what the command is for
		}
		log, err := newLogger(config.Log)
		if err != nil {
			return err
		}
		s := &site{config: config.placed(), log: log}
		err = s.open(command.Context(), wanted)
		if err == nil {
			err = body(command, args, s)
		}
		ctx, cancel := context.WithTimeout(context.Background(), config.Process.StopTimeout)
		defer cancel()
		return errors.Join(err, s.stops.run(ctx, log))
	})
}

// withStore is the body of a command that reads or changes what is stored.
func withStore(wanted needs, body func(command *cobra.Command, args []string, store *clickhouse.Cluster, s *site) error) func(*cobra.Command, []string) error {
	return withSite(wanted, func(command *cobra.Command, args []string, s *site) error {
		store, err := s.store(command.Context())
		if err != nil {
			return err
		}
		return body(command, args, store, s)
	})
}

// withBooks is the body of a command about what is stored of the workspaces and endpoints
// that the control plane knows.
func withBooks(body func(command *cobra.Command, d *control.Directory, store *clickhouse.Cluster, s *site) error) func(*cobra.Command, []string) error {
	return withStore(bothEngines, func(command *cobra.Command, _ []string, store *clickhouse.Cluster, s *site) error {
		directory, err := s.directory(command.Context())
		if err != nil {
			return err
		}
		return body(command, directory, store, s)
	})
}

// open finds or starts the engines.
func (s *site) open(ctx context.Context, wanted needs) error {
	startKafka := wanted.kafka && s.config.embeddedKafka()
	startClickHouse := wanted.clickhouse && s.config.embeddedClickHouse()
	if !startKafka && !startClickHouse {
		return nil
	}
	lock, err := lockFolder(s.config.DataDir)
	if err != nil && exitCode(err) == exitRunning {
		return s.join(ctx)
	}
	if err != nil {
		return err
	}
	s.stops.add("data folder", func(context.Context) error { return lock.Unlock() })
	if startClickHouse {
		keeper, err := keepEngine(ctx, s.config.Engine, s.config.Process.EngineBackoffMax, newEngineMetrics(prometheus.NewRegistry()), s.log.Named("engine"))
		if err != nil {
			return err
		}
		s.stops.add("engine", keeper.stop)
		keeper.reach(&s.config.ClickHouse)
	}
	if startKafka {
		b, err := openBroker(ctx, s.config.Broker, prometheus.NewRegistry(), s.log)
		if err != nil {
			return err
		}
		s.stops.add("broker", b.Close)
		s.config.Kafka.Brokers = []string{b.Addr()}
	}
	return nil
}

// join takes over the addresses of the running process.
func (s *site) join(ctx context.Context) error {
	p, err := awaitPlaces(ctx, s.config.DataDir)
	if err != nil {
		return err
	}
	if s.config.embeddedKafka() {
		s.config.Kafka.Brokers = p.Kafka
	}
	if s.config.embeddedClickHouse() {
		s.config.ClickHouse.Addresses = p.ClickHouse
		s.config.ClickHouse.User, s.config.ClickHouse.Password = p.ClickHouseUser, p.ClickHousePasswd
	}
	return nil
}

// unmade is a store for the rest of the command, on a database that need not be
// there yet.
func (s *site) unmade(ctx context.Context) (*clickhouse.Cluster, error) {
	store, err := clickhouse.OpenCluster(ctx, s.config.ClickHouse, s.log, prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("opening ClickHouse: %w", err)
	}
	s.stops.add("clickhouse pools", func(context.Context) error { return store.Close() })
	return store, nil
}

// store connects to ClickHouse for the rest of the command.
func (s *site) store(ctx context.Context) (*clickhouse.Cluster, error) {
	store, err := s.unmade(ctx)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := store.Ping(bounded); err != nil {
		return nil, fmt.Errorf("reaching ClickHouse at %v: %w", append(s.config.ClickHouse.Addresses, s.config.ClickHouse.Shards...), err)
	}
	return store, nil
}
