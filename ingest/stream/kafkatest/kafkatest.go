// Package kafkatest gives tests a Kafka: franz-go's kfake in the test's own process,
// or the real one that the environment variable TEST_KAFKA_BROKERS names, so that
// one test runs on both.
//
//	cfg := stream.DefaultConfig()
//	kafkatest.Use(t, &cfg)
//
// Tests that break the protocol on purpose ask for Fake, and have it always.
package kafkatest

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BrokersVariable is the environment variable with the addresses of a real Kafka's
// brokers, separated by commas.
const BrokersVariable = "TEST_KAFKA_BROKERS"

// Real are the addresses of the real Kafka of this run, or none.
func Real() []string {
	if text := os.Getenv(BrokersVariable); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// Use points a *stream.Config to the Kafka of this run. On a real one, which all
// tests share, the topics get names of the test's own, whose beginning is returned
// and is for the names of groups too.
//
// It is not typed, because tests within package stream are among its callers, and
// what they import cannot import stream.
func Use(t testing.TB, cfg any) (prefix string) {
	t.Helper()
	brokers := Real()
	if brokers == nil {
		Fake(t, cfg)
		return ""
	}
	prefix = Prefix(t)
	settings := reflect.ValueOf(cfg).Elem()
	settings.FieldByName("Brokers").Set(reflect.ValueOf(brokers))
	for i := range settings.NumField() {
		if name := settings.Type().Field(i).Name; strings.HasSuffix(name, "Topic") {
			settings.Field(i).SetString(prefix + settings.Field(i).String())
		}
	}
	return prefix
}

// Fake points a *stream.Config to a kfake of the test's own, which it returns.
func Fake(t testing.TB, cfg any, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	reflect.ValueOf(cfg).Elem().FieldByName("Brokers").Set(reflect.ValueOf(cluster.ListenAddrs()))
	return cluster
}

var names atomic.Int64

// Prefix is the beginning of names that no other test uses on the real Kafka. Topics
// whose names begin so are deleted when the test is over.
func Prefix(t testing.TB) string {
	t.Helper()
	prefix := fmt.Sprintf("t%d-%d.", os.Getpid(), names.Add(1))
	t.Logf("on the Kafka at %v, with names that begin with %s", Real(), prefix)
	t.Cleanup(func() {
		if err := deleteTopics(prefix); err != nil {
			t.Errorf("clear the real Kafka: %v", err)
		}
	})
	return prefix
}

func deleteTopics(prefix string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(Real()...))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	found, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var own []string
	for _, topic := range found.Names() {
		if strings.HasPrefix(topic, prefix) {
			own = append(own, topic)
		}
	}
	if len(own) == 0 {
		return nil
	}
	_, err = admin.DeleteTopics(ctx, own...)
	return err
}
