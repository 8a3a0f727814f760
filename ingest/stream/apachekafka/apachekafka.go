// Package apachekafka runs Apache Kafka on loopback: brokers in KRaft mode as child
// processes, which a test can kill, freeze and start again. It is for tests and for
// trying things out; the product never starts it.
//
// The jars are fetched and held against jars.sha256 by `make .cache/apache-kafka`;
// the environment variable APACHE_KAFKA_JARS says where they are.
package apachekafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// JarsVariable is the environment variable with the folder of the jars.
const JarsVariable = "APACHE_KAFKA_JARS"

// Config is what a cluster is made of.
type Config struct {
	// Dir holds everything that the cluster writes. It has to be empty.
	Dir string
	// Brokers is how many there are. One is its own controller; of several none is,
	// so that whichever dies, there is one that notices.
	Brokers int
}

// Cluster is a running Apache Kafka.
type Cluster struct {
	brokers    []*Node
	controller *Node // nil if the only broker is it
}

// clusterID is any: clusters of tests never meet.
const clusterID = "cmV2c3RyZWFtLXRlc3RzMQ"

// patience bounds the wait for a broker to answer, which takes two seconds on an
// idle machine.
const patience = 90 * time.Second

// Start formats the folders of a new cluster, starts its processes and waits until
// every broker is known to the others. They end with this process at the latest.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	jars, err := findJars()
	if err != nil {
		return nil, err
	}
	if cfg.Brokers < 1 {
		return nil, fmt.Errorf("an Apache Kafka of %d brokers", cfg.Brokers)
	}
	c, err := layOut(ctx, cfg, jars)
	if err != nil {
		return nil, err
	}
	if err := eachAtOnce(c.nodes(), func(n *Node) error { return n.format(ctx) }); err != nil {
		return nil, err
	}
	if err := eachAtOnce(c.nodes(), (*Node).Start); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.Await(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// findJars is where the jars are, or says what is missing.
func findJars() (string, error) {
	jars := os.Getenv(JarsVariable)
	if jars == "" {
		return "", fmt.Errorf("%s is not set: `make test-kafka` fetches Apache Kafka and sets it", JarsVariable)
	}
	if found, err := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s=%s holds no Apache Kafka", JarsVariable, jars)
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("running Apache Kafka needs Java 17 or newer on the PATH: %w", err)
	}
	return jars, nil
}

// layOut decides who listens where and writes each node's settings.
func layOut(ctx context.Context, cfg Config, jars string) (*Cluster, error) {
	ports, err := freePorts(ctx, cfg.Brokers+1)
	if err != nil {
		return nil, err
	}
	voterID := 1
	if cfg.Brokers > 1 {
		voterID = controllerID
	}
	voter := fmt.Sprintf("%d@127.0.0.1:%d", voterID, ports[0])
	c := &Cluster{}
	for i := range cfg.Brokers {
		n := &Node{ID: int32(i + 1), Addr: "127.0.0.1:" + strconv.Itoa(ports[i+1]), jars: jars}
		settings := brokerSettings(n, voter, cfg.Brokers)
		if cfg.Brokers == 1 {
			settings["process.roles"] = "broker,controller"
			settings["listeners"] += fmt.Sprintf(",CONTROLLER://127.0.0.1:%d", ports[0])
		}
		if err := n.write(cfg.Dir, settings); err != nil {
			return nil, err
		}
		c.brokers = append(c.brokers, n)
	}
	if cfg.Brokers > 1 {
		c.controller = &Node{ID: controllerID, Addr: "127.0.0.1:" + strconv.Itoa(ports[0]), jars: jars}
		if err := c.controller.write(cfg.Dir, controllerSettings(c.controller, voter)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// freePorts finds ports that nobody listens on.
func freePorts(ctx context.Context, count int) ([]int, error) {
	var ports []int
	var listening net.ListenConfig
	for range count {
		listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }() // all are held until all are found
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Addrs are the addresses of the brokers, running or not.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.brokers))
	for i, n := range c.brokers {
		addrs[i] = n.Addr
	}
	return addrs
}

// Broker returns the one with the id; ids count from 1.
func (c *Cluster) Broker(id int32) *Node { return c.brokers[id-1] }

// Brokers are all of them, running or not.
func (c *Cluster) Brokers() []*Node { return c.brokers }

// Controller is the node that decides who leads, and nil in a cluster of one broker,
// which decides that itself.
func (c *Cluster) Controller() *Node { return c.controller }

func (c *Cluster) nodes() []*Node {
	if c.controller == nil {
		return c.brokers
	}
	return append([]*Node{c.controller}, c.brokers...)
}

// Await waits until the cluster knows every broker that was started and not killed.
func (c *Cluster) Await(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return fmt.Errorf("ask Apache Kafka who is there: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		missing, err := c.missing(ctx, kadm.NewClient(client))
		if missing == nil && err == nil {
			return nil
		}
		if missing != nil && missing.dead() {
			return fmt.Errorf("broker %d has ended:\n%s", missing.ID, missing.Output())
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for Apache Kafka: %w: %w\n%s", ctx.Err(), err, c.Output())
		}
	}
}

// missing is a broker that should be there and that the cluster does not know.
func (c *Cluster) missing(ctx context.Context, admin *kadm.Client) (*Node, error) {
	known, err := admin.ListBrokers(ctx)
	if err != nil {
		for _, n := range c.brokers {
			if n.dead() {
				return n, err
			}
		}
		return nil, err
	}
	for _, n := range c.brokers {
		if n.wanted && !slices.Contains(known.NodeIDs(), n.ID) {
			return n, nil
		}
	}
	return nil, nil
}

// Output is what all nodes have said.
func (c *Cluster) Output() string {
	text := ""
	for _, n := range c.nodes() {
		text += fmt.Sprintf("--- node %d\n%s", n.ID, n.Output())
	}
	return text
}

// Stop ends all processes at once, the hard way: nothing is kept.
func (c *Cluster) Stop() error {
	return eachAtOnce(c.nodes(), (*Node).Kill)
}
