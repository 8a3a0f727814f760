package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/stream"
)

// process is what the roles of one process share. Each start* adds what it began
// to stops, so that whatever it depends on is ended after it.
type process struct {
	config   Config
	log      *zap.Logger
	registry *prometheus.Registry
	stops    stops
	// failed gets the reason when a role can no longer do its work.
	failed chan error

	places       places
	dependencies []dependency
	documents    [][]byte // OpenAPI documents of the roles

	demo      *demo // nil unless the process cares for the workspace demo
	app       *fiber.App
	store     *clickhouse.Cluster
	directory *control.Directory
	tables    ingestTables
}

// newProcess bounds the process's memory and takes its folder.
func newProcess(config Config, folder string) (*process, error) {
	log, err := newLogger(config.Log)
	if err != nil {
		return nil, err
	}
	limitMemory(config.Process)
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	p := &process{
		config: config.placed(), log: log, registry: newRegistry(), failed: make(chan error, 4),
		places: places{PID: os.Getpid(), Kafka: config.Kafka.Brokers, ClickHouse: append(slices.Clone(config.ClickHouse.Addresses), config.ClickHouse.Shards...), Database: config.ClickHouse.Database},
	}
	p.stops.add("data folder", func(context.Context) error { return unlockFolder(lock, folder) })
	p.app = newApp(p.config, p.registry, log)
	return p, nil
}

func unlockFolder(lock *flock.Flock, folder string) error {
	err := os.Remove(filepath.Join(folder, placesFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, lock.Unlock())
}

// limitMemory applies the limits of the configuration, unless the environment has
// the runtime's own.
func limitMemory(config ProcessConfig) {
	if os.Getenv("GOMEMLIMIT") == "" && config.MemoryBytesMax > 0 {
		debug.SetMemoryLimit(config.MemoryBytesMax)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(config.GarbagePercent)
	}
}

// roleFolder keeps the local tables of processes with one role apart, so that
// several can share a machine.
func roleFolder(config Config, role string) string { return filepath.Join(config.DataDir, role) }

// openStore connects to ClickHouse.
func (p *process) openStore(ctx context.Context, roles ...string) error {
	store, err := clickhouse.OpenCluster(ctx, p.config.ClickHouse, p.log.Named("clickhouse"), p.registry)
	if err != nil {
		return fmt.Errorf("opening ClickHouse: %w", err)
	}
	p.store = store
	p.stops.add("clickhouse pools", func(context.Context) error { return store.Close() })
	for i, shard := range store.Shards() {
		p.dependencies = append(p.dependencies, dependency{ofShard("clickhouse", i, store), roles, shard.Ping})
	}
	return nil
}

// ofShard is the name of something that there is for each shard.
func ofShard(name string, shard int, store *clickhouse.Cluster) string {
	if len(store.Shards()) == 1 {
		return name
	}
	return fmt.Sprintf("%s of shard %d", name, shard+1)
}

// openDirectory materialises the control plane, which every role that answers
// requests authenticates with.
func (p *process) openDirectory(ctx context.Context, folder string, roles ...string) error {
	table, err := p.openTable(ctx, p.config.Kafka.ControlTopic, folder)
	if err != nil {
		return err
	}
	p.directory, err = control.Open(ctx, table, control.WithConfig(p.config.Control), control.WithLog(p.log), control.WithRegisterer(p.registry))
	if err != nil {
		return fmt.Errorf("reading the control plane: %w", err)
	}
	p.dependencies = append(p.dependencies, dependency{"kafka", roles, table.Refresh})
	return nil
}

// openTable materialises a compacted topic below the folder.
func (p *process) openTable(ctx context.Context, topic, folder string) (*stream.Table, error) {
	table, err := stream.OpenTable(ctx, p.config.Kafka, topic, filepath.Join(folder, "tables"), p.log, p.registry)
	if err != nil {
		return nil, err
	}
	p.stops.add("table "+topic, func(context.Context) error { return table.Close() })
	return table, nil
}

// serveHTTP mounts what every process serves and begins to answer.
func (p *process) serveHTTP(listener net.Listener) error {
	document, err := mergeOpenAPI(p.documents...)
	if err != nil {
		return err
	}
	mountHealth(p.app, p.dependencies, p.registry)
	mountOpenAPI(p.app, document)
	if err := mountDocs(p.app); err != nil {
		return err
	}
	server := serve(p.app, listener, p.failed)
	p.stops.add("http", server.stop)
	p.places.URL = p.config.HTTP.PublicURL
	if p.places.URL == "" {
		p.places.URL = "http://" + dialable(listener.Addr().String())
	}
	return nil
}

// dialable turns an address that is listened on into one that can be called.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// background runs a part of a role until the process stops.
func (p *process) background(name string, run func(context.Context)) {
	ctx, leave := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx)
	}()
	p.stops.add(name, func(ctx context.Context) error {
		leave()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// wait lasts until the process is asked to stop or a role fails, and then stops
// everything within StopTimeout.
func (p *process) wait(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
		p.log.Info("stopping; a second signal ends the process at once")
	case failure = <-p.failed:
		p.log.Error("stopping, because a role has failed", zap.Error(failure))
	}
	return errors.Join(failure, p.stop())
}

// stop ends what was started, in reverse, also when the start did not get far.
func (p *process) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.config.Process.StopTimeout)
	defer cancel()
	return p.stops.run(ctx, p.log)
}

// inProcess runs the start of a process with one or all roles, tells where it can
// be reached, and waits for its end.
func inProcess(command *cobra.Command, config Config, folder string, start func(context.Context, *process) error) error {
	ctx := command.Context()
	p, err := newProcess(config, folder)
	if err != nil {
		return err
	}
	listener, err := listenHTTP(ctx, config.HTTP.Addr)
	if err != nil {
		return errors.Join(err, p.stop())
	}
	p.stops.add("http listener", func(context.Context) error { return closeListener(listener) })
	err = start(ctx, p)
	if err == nil {
		err = p.serveHTTP(listener)
	}
	if err != nil {
		return errors.Join(err, p.stop())
	}
	if err := p.announce(command.OutOrStdout(), folder); err != nil {
		return errors.Join(err, p.stop())
	}
	return p.wait(ctx)
}

// announce tells people and the operator's commands where everything is.
func (p *process) announce(out io.Writer, folder string) error {
	if p.demo != nil {
		var err error
		if p.places.DemoFile, err = p.demo.write(p.config.DataDir, p.places); err != nil {
			return err
		}
	}
	if err := p.places.save(folder); err != nil {
		return err
	}
	p.places.print(out, p.config)
	return nil
}

// closeListener closes one that HTTP may have closed already.
func closeListener(listener net.Listener) error {
	if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing the http listener: %w", err)
	}
	return nil
}
