package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"revstream/ingest/stream"
	broker "revstream/ingest/stream/embedded"
)

// usualKafkaPort is taken if no port was configured and it is free.
const usualKafkaPort = 9092

// openBroker starts the embedded broker. With port 0 in its address it takes the
// usual one if that is free, and any other if not.
func openBroker(ctx context.Context, config broker.Config, registry prometheus.Registerer, log *zap.Logger) (*broker.Broker, error) {
	addr, err := netip.ParseAddrPort(config.Addr)
	if err != nil {
		return nil, fmt.Errorf("reading the broker's address: %w", err)
	}
	port := usualIfFree(ctx, addr.Addr().String(), int(addr.Port()), usualKafkaPort)
	usual := config
	usual.Addr = netip.AddrPortFrom(addr.Addr(), uint16(port)).String()
	b, err := tryBroker(usual, registry, log)
	if errors.Is(err, broker.ErrPortInUse) && usual.Addr != config.Addr {
		// Somebody was quicker between the look and the start.
		b, err = tryBroker(config, registry, log)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the embedded Kafka broker: %w", err)
	}
	return b, nil
}

// tryBroker registers the broker's metrics only if it starts.
func tryBroker(config broker.Config, registry prometheus.Registerer, log *zap.Logger) (*broker.Broker, error) {
	metrics := prometheus.NewRegistry()
	b, err := broker.Start(config, log.Named("broker"), metrics)
	if err != nil {
		return nil, err
	}
	if err := registry.Register(metrics); err != nil {
		return nil, errors.Join(err, b.Close(context.Background()))
	}
	return b, nil
}

// startBroker starts the embedded broker for a process, and with it the loop that
// forgets what is stored. Nothing happens if brokers are configured.
func (p *process) startBroker(ctx context.Context) error {
	if !p.config.embeddedKafka() {
		return nil
	}
	b, err := openBroker(ctx, p.config.Broker, p.registry, p.log)
	if err != nil {
		return err
	}
	p.stops.add("broker", b.Close)
	p.config.Kafka.Brokers = []string{b.Addr()}
	p.places.Kafka = p.config.Kafka.Brokers
	go func() {
		// A disk that does not sync any more: what is on it is all there is.
		if err, died := <-b.Wait(); died {
			p.failed <- err
		}
	}()
	trimming, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.trim(trimming, b)
	}()
	p.stops.add("trimming", func(context.Context) error {
		stop()
		<-ended
		return nil
	})
	return nil
}

// trim lets the embedded broker forget records that the sink has committed, for
// it reads its whole log into memory when it starts. What ClickHouse keeps of
// them is the memory of the service.
func (p *process) trim(ctx context.Context, b *broker.Broker) {
	ticker := time.NewTicker(p.config.Process.TrimInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := errors.Join(
			p.trimTopic(ctx, b, p.config.Kafka.EventsTopic, p.config.Sink.Groups(p.config.ClickHouse.ShardCount())...),
			p.trimTopic(ctx, b, p.config.Kafka.DeliveriesTopic, p.config.Archive.Group))
		if err != nil && !errors.Is(err, context.Canceled) {
			p.log.Warn("trimming the embedded broker's log", zap.Error(err))
		}
	}
}

func (p *process) trimTopic(ctx context.Context, b *broker.Broker, topic string, groups ...string) error {
	positions, err := stream.PositionsIn(ctx, p.config.Kafka, topic, groups...)
	if err != nil {
		return err
	}
	committed := make(map[int32]int64, len(positions))
	for partition, position := range positions {
		committed[partition] = max(0, position.Committed)
	}
	_, err = b.Trim(ctx, topic, committed)
	return err
}
