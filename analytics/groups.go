package analytics

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"revstream/clickhouse"
	"revstream/ingest/revenue"
)

// errTooManyGroups: a question would have taken more groups than it may.
var errTooManyGroups = errors.New("too many groups")

// handedOnAtOnce is how many groups are handed on in one go: enough to be worth it.
const handedOnAtOnce = 256

// groupReading reads the statements of groups and hands each group's on, on all cores, as
// they come; none is kept.
type groupReading struct {
	// take is called with the statements of each group, by several goroutines at once.
	take func([]revenue.Event)
	// most is how many groups there may be; 0 is any number.
	most int

	groups int
	last   string
	// waiting are the statements of groups that are not handed on yet.
	waiting [][]string
	at      errgroup.Group
}

// groupStatement is a row of restated.sql and uncertain.sql.
type groupStatement struct {
	Group     string `ch:"fact_group"`
	Statement string `ch:"statement"`
}

// read puts a question whose rows are statements, one group after the other.
func (g *groupReading) read(ctx context.Context, r *reading, what, sql string, values ...clickhouse.Named) error {
	g.at.SetLimit(runtime.GOMAXPROCS(0))
	_, err := each(ctx, r, what, sql, g.add, append(values,
		clickhouse.Named{Name: "workspace", Value: r.workspace}, clickhouse.Named{Name: "provider", Value: r.Provider})...)
	g.hand()
	return errors.Join(err, g.at.Wait())
}

func (g *groupReading) add(row *groupStatement) error {
	if g.groups == 0 || row.Group != g.last {
		if len(g.waiting) == handedOnAtOnce {
			g.hand()
		}
		g.last, g.waiting = row.Group, append(g.waiting, nil)
		if g.groups++; g.most > 0 && g.groups > g.most {
			return errTooManyGroups
		}
	}
	own := &g.waiting[len(g.waiting)-1]
	*own = append(*own, row.Statement)
	return nil
}

// hand has the waiting groups taken.
func (g *groupReading) hand() {
	groups := g.waiting
	g.waiting = nil
	g.at.Go(func() error {
		for _, statements := range groups {
			events := make([]revenue.Event, len(statements))
			for i, statement := range statements {
				if err := json.Unmarshal([]byte(statement), &events[i]); err != nil {
					return fmt.Errorf("decoding a statement of a group: %w", err)
				}
			}
			g.take(events)
		}
		return nil
	})
}
