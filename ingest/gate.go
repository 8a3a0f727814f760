package ingest

import "sync/atomic"

// gate bounds how many requests are inside.
type gate struct {
	most   int64
	inside atomic.Int64
}

// enter reports whether there was room; only then leave is due.
func (g *gate) enter() bool {
	if g.inside.Add(1) > g.most {
		g.inside.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.inside.Add(-1) }
