package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/plugin/kprom"
	"github.com/twmb/franz-go/plugin/kzap"
	"go.uber.org/zap"
)

// clientOpts are what every client has: addresses, identity, log and metrics.
// The name tells the clients of one process apart in metrics.
func clientOpts(cfg Config, name string, log *zap.Logger, reg prometheus.Registerer) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID(cfg.ClientID + "-" + name),
		kgo.WithLogger(kzap.New(log.Named("kafka"), kzap.Level(kgo.LogLevelWarn))),
		kgo.DialTimeout(cfg.DialTimeout),
		kgo.MetadataMinAge(metadataAgeMin),
		kgo.DisableClientMetrics(),
	}
	if reg != nil {
		labelled := prometheus.WrapRegistererWith(prometheus.Labels{"client": name}, reg)
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("revstream_kafka", kprom.Registerer(labelled))))
	}
	if cfg.TLS.Enabled {
		encryption, err := cfg.TLS.load()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(encryption))
	}
	switch cfg.SASL.Mechanism {
	case MechanismPlain:
		opts = append(opts, kgo.SASL(plain.Auth{User: cfg.SASL.User, Pass: cfg.SASL.Password}.AsMechanism()))
	case MechanismScramSHA256:
		opts = append(opts, kgo.SASL(scram.Auth{User: cfg.SASL.User, Pass: cfg.SASL.Password}.AsSha256Mechanism()))
	case MechanismScramSHA512:
		opts = append(opts, kgo.SASL(scram.Auth{User: cfg.SASL.User, Pass: cfg.SASL.Password}.AsSha512Mechanism()))
	}
	return opts, nil
}

// load reads the certificate files.
func (t TLS) load() (*tls.Config, error) {
	encryption := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.ca_file: %w", err)
		}
		encryption.RootCAs = x509.NewCertPool()
		if !encryption.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls.ca_file holds no certificate")
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load tls.cert_file and tls.key_file: %w", err)
		}
		encryption.Certificates = []tls.Certificate{pair}
	}
	return encryption, nil
}

// newClient opens a client; extra options come last and win.
func newClient(cfg Config, name string, log *zap.Logger, reg prometheus.Registerer, extra ...kgo.Opt) (*kgo.Client, error) {
	opts, err := clientOpts(cfg, name, log, reg)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return nil, fmt.Errorf("open kafka client %s: %w", name, err)
	}
	return client, nil
}

// ConsumerOpts are the options of a sink's client but for its group and topic: how to
// reach Kafka, fetch limits, and the rules that make manual commits safe. Nothing is committed by itself, a rebalance waits for
// AllowRebalance, a partition without a commit starts at the beginning, which
// costs work and never money, and an offset that Kafka no longer has, or not yet,
// is an error and never a reset. The error of ConsumerOpts is about certificate
// files.
func ConsumerOpts(cfg Config, name string, log *zap.Logger, reg prometheus.Registerer) ([]kgo.Opt, error) {
	opts, err := clientOpts(cfg, name, log, reg)
	if err != nil {
		return nil, err
	}
	return append(opts,
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// Said as well, because NoResetOffset alone starts at the end.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		// Nothing here writes in transactions, so nothing waits for any.
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.FetchMaxBytes(int32(cfg.FetchBytesMax)),
		kgo.FetchMaxPartitionBytes(int32(cfg.FetchPartitionBytesMax)),
		// One fetch at a time bounds what is buffered to FetchBytesMax per broker.
		kgo.MaxConcurrentFetches(1),
		kgo.FetchMaxWait(cfg.FetchWait),
		kgo.HeartbeatInterval(cfg.HeartbeatInterval),
	), nil
}

// leaveTimeout bounds the farewell of a consumer. A broker answers one request of a
// connection at a time, and a member that waits to join, behind one that died, waits on
// the connection that it would leave by: until the dead one's session ends.
const leaveTimeout = 5 * time.Second

// OpenConsumer opens a client that is a member of a group. leave ends it, and the
// membership if that is possible within a few seconds: else the member is missed when
// its session ends. The error is that of kgo.NewClient.
func OpenConsumer(opts []kgo.Opt) (client *kgo.Client, leave func(), err error) {
	// The client joins under its own context, whatever becomes of the group's.
	alive, end := context.WithCancel(context.Background())
	client, err = kgo.NewClient(slices.Concat(opts, []kgo.Opt{kgo.WithContext(alive)})...)
	if err != nil {
		end()
		return nil, nil, err
	}
	return client, func() {
		defer end()
		client.AllowRebalance()
		bounded, cancel := context.WithTimeout(alive, leaveTimeout)
		defer cancel()
		if client.LeaveGroupContext(bounded) != nil {
			end()
		}
		client.CloseAllowingRebalance()
		client.AllowRebalance() // closing polls once more, which would hold up what still waits to leave
	}, nil
}
