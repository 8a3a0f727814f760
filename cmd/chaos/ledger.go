package main

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"revstream/cmd/simulation"
)

// ledgerSQL adds up the ledger itself, by provider: no rollup, no answer of the
// product is between it and the truth. Its columns are named after the truth's
// figures.
//
//go:embed ledger.sql
var ledgerSQL string

// compareLedger holds the ledger's sums against the truth.
func (a *audience) compareLedger(ctx context.Context) (differing []string, sums int, err error) {
	held, err := a.stand.sumLedger(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, door := range simulation.Doors {
		truth := a.play.Figures(door)
		for figure, sum := range held[string(door)] {
			want, known := truth[figure]
			if !known {
				return nil, 0, fmt.Errorf("the truth has no figure %q", figure)
			}
			sums++
			if sum != want {
				differing = append(differing, fmt.Sprintf("LEDGER %s: %s is %d, and should be %d", door, figure, sum, want))
			}
		}
	}
	slices.Sort(differing)
	return differing, sums, nil
}

// sumLedger returns the sums by provider and figure.
func (s *stand) sumLedger(ctx context.Context) (map[string]map[string]int64, error) {
	address := "http://" + s.addresses[clickHouse+" http"] + "/?" + url.Values{
		"database": {"revstream"}, "param_workspace": {workspace}, "default_format": {"TabSeparatedWithNames"},
	}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(ledgerSQL))
	if err != nil {
		return nil, fmt.Errorf("asking the ledger: %w", err)
	}
	request.Header.Set("X-ClickHouse-User", s.user)
	request.Header.Set("X-ClickHouse-Key", s.password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the ledger: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return nil, fmt.Errorf("asking the ledger: %s: %s", response.Status, text)
	}
	return readSums(response.Body)
}

// readSums reads a table whose first column is the provider and whose others are
// named after figures.
func readSums(table io.Reader) (map[string]map[string]int64, error) {
	lines := bufio.NewScanner(table)
	if !lines.Scan() {
		return nil, fmt.Errorf("the ledger's answer is empty: %w", lines.Err())
	}
	names := strings.Split(lines.Text(), "\t")
	held := map[string]map[string]int64{}
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		sums := map[string]int64{}
		for i := 1; i < len(fields); i++ {
			value, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("reading the ledger's %s: %w", names[i], err)
			}
			sums[names[i]] = value
		}
		held[fields[0]] = sums
	}
	return held, lines.Err()
}
