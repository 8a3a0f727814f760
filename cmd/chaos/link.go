package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the way to ClickHouse, on which things can go wrong.
type link struct{ proxy *toxiproxy.Proxy }

// openLink listens and passes everything on.
func openLink(listen, upstream string) (*link, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &link{toxiproxy.NewProxy(server, "clickhouse", listen, upstream)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("opening the way to ClickHouse: %w", err)
	}
	return l, nil
}

// spoil adds what toxiproxy calls a toxic, for connections that are open too. The
// stream is "upstream", towards ClickHouse, or "downstream".
func (l *link) spoil(kind, stream string, attributes map[string]int) error {
	toxic, err := json.Marshal(map[string]any{"type": kind, "stream": stream, "attributes": attributes})
	if err != nil {
		return fmt.Errorf("describing a toxic: %w", err)
	}
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(string(toxic))); err != nil {
		return fmt.Errorf("adding %s: %w", toxic, err)
	}
	return nil
}

// close refuses and ends all connections until heal.
func (l *link) close() { l.proxy.Stop() }

// heal makes the way free.
func (l *link) heal(ctx context.Context) error {
	l.proxy.Toxics.ResetToxics(ctx)
	if !l.proxy.Enabled {
		if err := l.proxy.Start(); err != nil {
			return fmt.Errorf("opening the way to ClickHouse again: %w", err)
		}
	}
	return nil
}
