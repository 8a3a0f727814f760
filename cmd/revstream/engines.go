package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

func brokerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "broker", Short: "Run the embedded Kafka broker alone", Args: usage(cobra.NoArgs),
		Long: brokerHelp,
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			if !config.embeddedKafka() {
				return &configError{errors.New("kafka.brokers names other brokers: leave it empty to run the embedded one")}
			}
			return inProcess(command, config, roleFolder(config, "broker"), func(ctx context.Context, p *process) error {
				if err := p.startBroker(ctx); err != nil {
					return err
				}
				p.dependencies = append(p.dependencies, dependency{"kafka", []string{"broker"}, accepts(p.config.Kafka.Brokers[0])})
				return nil
			})
		}),
	}
}

const brokerHelp = `Run the embedded Kafka broker alone, for roles that run as processes of their own
on this machine. Set broker.addr to a fixed port, and kafka.brokers of the others to
it. It listens on loopback only.`

func engineCommand() *cobra.Command {
	return &cobra.Command{
		Use: "engine", Short: "Run the embedded ClickHouse alone", Args: usage(cobra.NoArgs),
		Long: engineHelp,
		RunE: withConfig(func(command *cobra.Command, _ []string, config Config) error {
			if !config.embeddedClickHouse() {
				return &configError{errors.New("clickhouse.addresses names other servers: leave it empty to run the embedded one")}
			}
			return inProcess(command, config, roleFolder(config, "engine"), func(ctx context.Context, p *process) error {
				if err := p.startEngine(ctx); err != nil {
					return err
				}
				p.dependencies = append(p.dependencies, dependency{"clickhouse", []string{"engine"}, accepts(p.config.ClickHouse.Addresses[0])})
				return nil
			})
		}),
	}
}

const engineHelp = `Run the embedded ClickHouse alone, for roles that run as processes of their own on
this machine. Set engine.native_port, and clickhouse.addresses of the others to it;
its user is "revstream" with the password in <data>/clickhouse/password. Tables are
made by "revstream migrate".`

// accepts checks that something listens at the address: whether it answers well is
// for those who ask it.
func accepts(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		return connection.Close()
	}
}
