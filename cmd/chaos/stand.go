package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The processes, by name. ClickHouse is the child of the engine's.
const (
	broker     = "broker"
	engine     = "engine"
	clickHouse = "clickhouse"
	ingest     = "ingest"
	sinkOne    = "sink-1"
	sinkTwo    = "sink-2"
	query      = "query"
	// theLink is what the sinks and the answers reach ClickHouse over.
	theLink = "link"
)

// sessionTimeout is after which silence a sink is thrown out of its group; see
// setting. The other times follow from it as they do from the defaults.
const sessionTimeout = 1200 * time.Millisecond

// settings make everything as quick as the defaults are patient, so that a round
// takes seconds, and what is rare in operation (compaction, trimming, the retreat
// of the log) often.
var settings = []string{
	"REVSTREAM_LOG_ACCESS_PER_SECOND_MAX=1",
	"REVSTREAM_SINK_SESSION_TIMEOUT=" + sessionTimeout.String(),
	"REVSTREAM_SINK_REBALANCE_TIMEOUT=12s",
	"REVSTREAM_SINK_STORE_TIMEOUT=5s",
	"REVSTREAM_SINK_TURN_MAX=500ms",
	"REVSTREAM_SINK_BATCH_WAIT_MAX=100ms",
	"REVSTREAM_SINK_BACKOFF_MAX=500ms",
	"REVSTREAM_SINK_FRESHNESS_INTERVAL=100ms",
	"REVSTREAM_KAFKA_HEARTBEAT_INTERVAL=300ms",
	"REVSTREAM_KAFKA_PRODUCE_TIMEOUT=3s",
	"REVSTREAM_INGEST_REQUEST_TIMEOUT=5s",
	"REVSTREAM_CLICKHOUSE_DIAL_TIMEOUT=1s",
	"REVSTREAM_CLICKHOUSE_INSERT_TIMEOUT=3s",
	"REVSTREAM_CLICKHOUSE_INSERT_STALL_TIMEOUT=1500ms",
	"REVSTREAM_CLICKHOUSE_STATE_TIMEOUT=3s",
	"REVSTREAM_CLICKHOUSE_TAKE_OVER_TIMEOUT=4s",
	"REVSTREAM_CLICKHOUSE_MAINTENANCE_TIMEOUT=20s",
	"REVSTREAM_CLICKHOUSE_QUERY_TIMEOUT=5s",
	"REVSTREAM_QUERY_QUERY_TIMEOUT=5s",
	"REVSTREAM_BROKER_MAINTENANCE_INTERVAL=1s",
	"REVSTREAM_BROKER_COMPACT_BYTES_MIN=65536",
	"REVSTREAM_BROKER_SEGMENT_BYTES=1048576",
	"REVSTREAM_BROKER_LOG_BYTES_MAX=8388608",
	"REVSTREAM_PROCESS_TRIM_INTERVAL=1s",
	"REVSTREAM_PROCESS_ENGINE_BACKOFF_MAX=400ms",
}

// stand is a whole revstream in pieces, and what it takes to break them.
type stand struct {
	binary    string
	folder    string
	addresses map[string]string // host:port by name
	processes []*process        // in the order of their start
	link      *link
	aim       *aim

	user, password string // of ClickHouse
}

// openStand starts everything and waits until it is ready.
func openStand(ctx context.Context, binary, folder string) (*stand, error) {
	s := &stand{binary: binary, folder: folder, addresses: map[string]string{}, user: "revstream"}
	if err := s.findPorts(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(folder, "logs"), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of logs: %w", err)
	}
	err := s.start(ctx)
	if err != nil {
		return nil, errors.Join(err, s.close(false))
	}
	return s, nil
}

func (s *stand) start(ctx context.Context) (err error) {
	if s.link, err = openLink(s.addresses[theLink], s.addresses[clickHouse]); err != nil {
		return err
	}
	for _, name := range []string{broker, engine} {
		if err := s.add(ctx, name, name); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(filepath.Join(s.folder, engine, "clickhouse", "password"))
	if err != nil {
		return fmt.Errorf("reading ClickHouse's password: %w", err)
	}
	s.password = strings.TrimSpace(string(password))
	if _, err := s.operate(ctx, "migrate"); err != nil {
		return err
	}
	for _, one := range []struct{ name, role string }{{ingest, "ingest"}, {sinkOne, "sink"}, {sinkTwo, "sink"}, {query, "query"}} {
		if err := s.add(ctx, one.name, one.role); err != nil {
			return err
		}
	}
	s.aim = newAim(filepath.Join(s.folder, engine, "clickhouse", "data", "store"))
	return nil
}

// firstPort is below the range from which systems take the ports of outgoing
// connections: such a one could take the port of a process that is away.
const firstPort = 20_000

func (s *stand) findPorts(ctx context.Context) error {
	port := firstPort + rand.IntN(10_000)
	var listening net.ListenConfig
	for _, name := range []string{
		broker, clickHouse, clickHouse + " http", theLink,
		broker + " health", engine + " health", ingest, sinkOne, sinkTwo, query,
	} {
		for ; s.addresses[name] == ""; port++ {
			address := fmt.Sprintf("127.0.0.1:%d", port)
			listener, err := listening.Listen(ctx, "tcp", address)
			if err != nil {
				if port > firstPort+12_000 {
					return fmt.Errorf("finding a free port: %w", err)
				}
				continue
			}
			_ = listener.Close()
			s.addresses[name] = address
		}
	}
	return nil
}

// add starts a process and waits until it is ready.
func (s *stand) add(ctx context.Context, name, role string) error {
	log, err := os.OpenFile(filepath.Join(s.folder, "logs", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", name, err)
	}
	address := s.addresses[name]
	if role == broker || role == engine {
		address = s.addresses[name+" health"]
	}
	p := &process{
		name: name, binary: s.binary, role: role, log: log, done: make(chan struct{}),
		health: "http://" + address + "/readyz/" + role,
		env:    s.environment(name, address),
	}
	s.processes = append(s.processes, p)
	go p.supervise()
	return s.awaitReady(ctx, p)
}

// environment is the configuration of a process; nothing of the caller's own
// revstream is in it.
func (s *stand) environment(name, address string) []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "REVSTREAM_") {
			env = append(env, variable)
		}
	}
	env = append(env, settings...)
	env = append(env, "REVSTREAM_DATA_DIR="+filepath.Join(s.folder, name), "REVSTREAM_HTTP_ADDR="+address)
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	switch name {
	case broker:
		return append(env, "REVSTREAM_BROKER_ADDR="+s.addresses[broker])
	case engine:
		return append(env, "REVSTREAM_ENGINE_NATIVE_PORT="+port(s.addresses[clickHouse]), "REVSTREAM_ENGINE_HTTP_PORT="+port(s.addresses[clickHouse+" http"]))
	case operator: // is not in the way of faults
		env = append(env, "REVSTREAM_CLICKHOUSE_ADDRESSES="+s.addresses[clickHouse])
	default:
		env = append(env, "REVSTREAM_CLICKHOUSE_ADDRESSES="+s.addresses[theLink])
	}
	return append(env, "REVSTREAM_KAFKA_BROKERS="+s.addresses[broker],
		"REVSTREAM_CLICKHOUSE_USER="+s.user, "REVSTREAM_CLICKHOUSE_PASSWORD="+s.password)
}

// operator is who runs commands beside the processes.
const operator = "operator"

// operate runs a command of the binary and returns what it printed.
func (s *stand) operate(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, s.binary, args...)
	command.Env = s.environment(operator, "127.0.0.1:0")
	var output, complaints bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("revstream %s: %w: %s%s", strings.Join(args, " "), err, &complaints, &output)
	}
	return output.Bytes(), nil
}

// process by its name.
func (s *stand) process(name string) *process {
	for _, p := range s.processes {
		if p.name == name {
			return p
		}
	}
	panic("no process " + name) // a programmer's error
}

// readyTimeout bounds the wait until everything works again after faults.
const readyTimeout = 60 * time.Second

// awaitReady waits until the processes can do their work.
func (s *stand) awaitReady(ctx context.Context, processes ...*process) error {
	deadline := time.Now().Add(readyTimeout)
	for _, p := range processes {
		for {
			err := p.ready(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil || time.Now().After(deadline) || p.refuses() {
				return fmt.Errorf("waiting for %s to be ready, see logs/%s.log: %w", p.name, p.name, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// endedByThemselves counts the ends that were none of our doing.
func (s *stand) endedByThemselves() int {
	ends := 0
	for _, p := range s.processes {
		p.mu.Lock()
		ends += p.alone
		p.mu.Unlock()
	}
	return ends
}

// close stops everything, what was started last first. Only after a success is it
// of interest whether that is done in order.
func (s *stand) close(orderly bool) error {
	var problems []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		if err := s.processes[i].stop(); err != nil && orderly {
			problems = append(problems, err)
		}
		_ = s.processes[i].log.Close()
	}
	s.link.close()
	return errors.Join(problems...)
}
