package analytics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"revstream/clickhouse"
)

// horizon is how far what is stored reaches.
type horizon struct {
	// complete is the instant before which everything accepted is in all that is read
	// later; the zero time while a slice has not said how far it is.
	complete time.Time
	// rates is another as soon as there are other exchange rates.
	rates string
}

// horizons remembers the horizon for a moment, so that the panels of a dashboard ask
// for it once. An older one is as true as a newer: it promises less.
type horizons struct {
	slices int // that have to say how far they are
	ageMax time.Duration
	mu     sync.Mutex
	last   horizon
	readAt time.Time
}

// horizon is what holds of everything that is read after it.
func (r *reading) horizon(ctx context.Context) (horizon, error) {
	h := r.horizons
	if last, fresh := h.recent(); fresh {
		return last, nil
	}
	began := time.Now()
	rows, err := ask[struct {
		Complete time.Time `ch:"complete_through"`
		Rates    string    `ch:"rates_version"`
	}](ctx, r, "how far the store is", r.questions.horizon, clickhouse.Named{Name: "slices", Value: h.slices})
	if err != nil {
		return horizon{}, err
	}
	if len(rows) != 1 {
		return horizon{}, fmt.Errorf("reading how far the store is: %d rows", len(rows))
	}
	read := horizon{rates: rows[0].Rates}
	if complete := rows[0].Complete.UTC(); complete.After(beginning) {
		read.complete = complete
	}
	h.keep(read, began)
	return read, nil
}

func (h *horizons) recent() (horizon, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, time.Since(h.readAt) < h.ageMax
}

func (h *horizons) keep(read horizon, began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if began.After(h.readAt) {
		h.last, h.readAt = read, began
	}
}
