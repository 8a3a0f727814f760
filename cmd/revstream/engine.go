package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
)

// The usual ports of ClickHouse, taken if nothing else was configured and they
// are free.
const (
	usualNativePort = 9000
	usualHTTPPort   = 8123
)

// engineBackoffMin is the first wait before an engine that ended by itself is
// started again; see ProcessConfig.EngineBackoffMax.
const engineBackoffMin = 200 * time.Millisecond

// engineSteady is how long an engine must have run for its end to count as a
// first one again.
const engineSteady = time.Minute

// engineChildCommand is the child process: not for people.
func engineChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: embedded.ChildCommand, Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			os.Exit(embedded.ChildMain(args))
			return nil
		},
	}
}

// engineKeeper keeps one embedded ClickHouse running: when the child dies, it
// starts another on the same folder and ports, so that pools and SQL clients only
// see a broken connection.
type engineKeeper struct {
	log     *zap.Logger
	metrics *engineMetrics

	config     embedded.Config // with the ports that the first start found
	backoffMax time.Duration
	first      *embedded.Engine
	stopped    chan struct{} // closed by stop
	ended      chan error    // the outcome of stopping the last engine
}

// keepEngine starts the engine and returns when it answers. With ports of 0 in
// config it takes the usual ones if they are free, and any others if not.
func keepEngine(ctx context.Context, config embedded.Config, backoffMax time.Duration, metrics *engineMetrics, log *zap.Logger) (*engineKeeper, error) {
	usual := config
	usual.NativePort = usualIfFree(ctx, config.ListenHost, config.NativePort, usualNativePort)
	usual.HTTPPort = usualIfFree(ctx, config.ListenHost, config.HTTPPort, usualHTTPPort)
	engine, err := embedded.Start(ctx, usual, log)
	if errors.Is(err, embedded.ErrPortInUse) && (usual.NativePort != config.NativePort || usual.HTTPPort != config.HTTPPort) {
		// Somebody was quicker between the look and the start.
		engine, err = embedded.Start(ctx, config, log)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the embedded ClickHouse: %w", err)
	}
	if config.NativePort, err = portOf(engine.Addr()); err == nil {
		config.HTTPPort, err = portOf(engine.HTTPAddr())
	}
	if err != nil {
		return nil, errors.Join(err, engine.Stop(ctx))
	}
	keeper := &engineKeeper{
		log: log, metrics: metrics, config: config, backoffMax: backoffMax, first: engine,
		stopped: make(chan struct{}), ended: make(chan error, 1),
	}
	metrics.up.Set(1)
	go keeper.keep(engine)
	return keeper, nil
}

// startEngine starts the embedded ClickHouse for a process. Nothing happens if
// addresses are configured.
func (p *process) startEngine(ctx context.Context) error {
	if !p.config.embeddedClickHouse() {
		return nil
	}
	config := p.config.Engine
	if p.demo != nil {
		config.Readers = append(config.Readers, p.demo.reader(p.config.ClickHouse.Database))
	}
	users, err := loadSQLUsers(p.config.DataDir)
	if err != nil {
		return err
	}
	for _, user := range users {
		config.Readers = append(config.Readers, user.reader(p.config.ClickHouse.Database))
	}
	keeper, err := keepEngine(ctx, config, p.config.Process.EngineBackoffMax, newEngineMetrics(p.registry), p.log.Named("engine"))
	if err != nil {
		return err
	}
	p.stops.add("engine", keeper.stop)
	keeper.reach(&p.config.ClickHouse)
	p.places.ClickHouse = p.config.ClickHouse.Addresses
	p.places.ClickHouseHTTP = "http://" + keeper.first.HTTPAddr()
	p.places.ClickHouseUser, p.places.ClickHousePasswd = p.config.ClickHouse.User, p.config.ClickHouse.Password
	return nil
}

// keep owns the running engine until stop.
func (k *engineKeeper) keep(engine *embedded.Engine) {
	backoff := engineBackoffMin
	for {
		begin := time.Now()
		select {
		case <-k.stopped:
			k.metrics.up.Set(0)
			k.ended <- engine.Stop(context.Background()) // bounded by the engine's StopTimeout
			return
		case err := <-engine.Wait():
			k.metrics.up.Set(0)
			k.log.Error("the embedded ClickHouse ended and is started again; accepting goes on meanwhile", zap.Error(err))
		}
		if time.Since(begin) > engineSteady {
			backoff = engineBackoffMin
		}
		// Its process is gone; this releases its folder.
		if err := engine.Stop(context.Background()); err != nil {
			k.log.Warn("clearing up after the embedded ClickHouse", zap.Error(err))
		}
		if engine = k.restart(&backoff); engine == nil {
			k.ended <- nil
			return
		}
		k.metrics.up.Set(1)
		k.metrics.restarts.Inc()
	}
}

// restart tries until the engine is up, or returns nil if it is stopped before.
func (k *engineKeeper) restart(backoff *time.Duration) *embedded.Engine {
	for {
		select {
		case <-k.stopped:
			return nil
		case <-time.After(*backoff):
		}
		*backoff = min(2**backoff, k.backoffMax)
		engine, err := embedded.Start(context.Background(), k.config, k.log) // bounded by its StartTimeout
		if err == nil {
			return engine
		}
		k.log.Error("starting the embedded ClickHouse again", zap.Error(err), zap.Duration("next_try_in", *backoff))
	}
}

// stop ends the engine for good. Close the pools before: an open connection
// makes it wait.
func (k *engineKeeper) stop(ctx context.Context) error {
	close(k.stopped)
	select {
	case err := <-k.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usualIfFree is the configured port, or for 0 the usual one if it is free.
func usualIfFree(ctx context.Context, host string, configured, usual int) int {
	if configured != 0 {
		return configured
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(usual)))
	if err != nil {
		return 0
	}
	_ = listener.Close()
	return usual
}

func portOf(addr string) (int, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, fmt.Errorf("reading the port of %q: %w", addr, err)
	}
	return strconv.Atoi(port)
}

// reach fills in how to connect to the engine with all rights.
func (k *engineKeeper) reach(config *clickhouse.Config) {
	config.Addresses = []string{k.first.Addr()}
	config.User = embedded.AdminUser
	config.Password, _ = k.first.Password(embedded.AdminUser)
}
