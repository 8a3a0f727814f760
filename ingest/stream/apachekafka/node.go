package apachekafka

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Node is one process of a cluster. Its methods are not safe for concurrent use.
type Node struct {
	// ID is that in the cluster's metadata, Addr where clients reach it.
	ID   int32
	Addr string

	jars, dir string
	wanted    bool // started, and not killed since
	frozen    bool
	process   *exec.Cmd
	ended     chan struct{}
}

// controllerID is the node that is no broker.
const controllerID = 100

// javaOptions keep a broker small, and quick to start.
var javaOptions = []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true"}

//go:embed log4j2.properties
var logSettings []byte

// commonSettings are every node's. The timeouts are shorter than Kafka's own, so
// that a dead broker is noticed within seconds; everything that decides what is
// durable is as it comes.
func commonSettings(voter string) map[string]string {
	return map[string]string{
		"controller.quorum.voters":       voter,
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"broker.session.timeout.ms":      "4000", // 9000
		"broker.heartbeat.interval.ms":   "500",  // 2000
	}
}

func controllerSettings(n *Node, voter string) map[string]string {
	settings := commonSettings(voter)
	settings["process.roles"] = "controller"
	settings["listeners"] = "CONTROLLER://" + n.Addr
	return settings
}

func brokerSettings(n *Node, voter string, brokers int) map[string]string {
	settings := commonSettings(voter)
	maps.Copy(settings, map[string]string{
		"process.roles":                    "broker",
		"listeners":                        "PLAINTEXT://" + n.Addr,
		"replica.lag.time.max.ms":          "5000", // 30000
		"auto.create.topics.enable":        "false",
		"default.replication.factor":       strconv.Itoa(min(3, brokers)),
		"min.insync.replicas":              strconv.Itoa(min(2, brokers)),
		"offsets.topic.replication.factor": strconv.Itoa(min(3, brokers)),
		"offsets.topic.num.partitions":     "4", // 50, each with files of its own
		"group.initial.rebalance.delay.ms": "0", // 3000
		"num.network.threads":              "2",
		"num.io.threads":                   "4",
		"log.cleaner.dedupe.buffer.size":   "16777216",
	})
	return settings
}

// write puts the node's settings into its folder.
func (n *Node) write(dir string, settings map[string]string) error {
	n.dir = filepath.Join(dir, strconv.Itoa(int(n.ID)))
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of node %d: %w", n.ID, err)
	}
	settings["node.id"] = strconv.Itoa(int(n.ID))
	settings["log.dirs"] = filepath.Join(n.dir, "log")
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", name, settings[name])
	}
	return errors.Join(
		os.WriteFile(n.settingsFile(), text.Bytes(), 0o600),
		os.WriteFile(n.logSettingsFile(), logSettings, 0o600),
	)
}

func (n *Node) settingsFile() string    { return filepath.Join(n.dir, "server.properties") }
func (n *Node) logSettingsFile() string { return filepath.Join(n.dir, "log4j2.properties") }
func (n *Node) outputFile() string      { return filepath.Join(n.dir, "output.txt") }

// java is a command of Kafka's.
func (n *Node) java(ctx context.Context, class string, args ...string) *exec.Cmd {
	options := append(slices.Clone(javaOptions),
		"-Dlog4j2.configurationFile="+n.logSettingsFile(), "-cp", filepath.Join(n.jars, "*"), class)
	return exec.CommandContext(ctx, "java", append(options, args...)...)
}

func (n *Node) format(ctx context.Context) error {
	output, err := n.java(ctx, "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.settingsFile()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format the folder of node %d: %w\n%s", n.ID, err, output)
	}
	return nil
}

// Start starts the process, on what an earlier one has left. It does not wait for
// it to be of use: see Cluster.Await.
func (n *Node) Start() error {
	output, err := os.OpenFile(n.outputFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the output of node %d: %w", n.ID, err)
	}
	process := n.java(context.Background(), "kafka.Kafka", n.settingsFile())
	process.Stdout, process.Stderr = output, output
	process.SysProcAttr = dieWithParent()
	ended, started := make(chan struct{}), make(chan error)
	go func() {
		// The parent whose end a child notices is this thread: it has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := process.Start()
		started <- err
		if err == nil {
			_ = process.Wait() // how it ended is in its output
		}
		_ = output.Close()
		close(ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start node %d: %w", n.ID, err)
	}
	n.process, n.ended, n.wanted, n.frozen = process, ended, true, false
	return nil
}

// Kill ends the process as a power cut would and waits for its end.
func (n *Node) Kill() error {
	n.wanted = false
	return n.end(syscall.SIGKILL)
}

// Leave asks the process to hand over its partitions and end, and waits for that.
func (n *Node) Leave() error {
	n.wanted = false
	return n.end(syscall.SIGTERM)
}

func (n *Node) end(how syscall.Signal) error {
	if n.process == nil || n.dead() {
		return nil
	}
	if err := n.process.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end node %d: %w", n.ID, err)
	}
	<-n.ended
	return nil
}

// Freeze stops the process where it stands: connections stay, nothing is answered.
func (n *Node) Freeze() error {
	n.frozen = true
	return n.process.Process.Signal(syscall.SIGSTOP)
}

// Thaw lets a frozen process go on.
func (n *Node) Thaw() error {
	n.frozen = false
	return n.process.Process.Signal(syscall.SIGCONT)
}

// dead reports whether the process has ended by itself, or was never started.
func (n *Node) dead() bool {
	if n.ended == nil {
		return true
	}
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// Output is what the process and those before it have said: warnings and errors.
func (n *Node) Output() string {
	text, err := os.ReadFile(n.outputFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func eachAtOnce(nodes []*Node, do func(*Node) error) error {
	var group errgroup.Group
	for _, n := range nodes {
		group.Go(func() error { return do(n) })
	}
	return group.Wait()
}
