package sink

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"revstream/ingest/revenue"
)

// cache keeps the statements of recently used groups and what the ledger holds of
// them. It is bounded by statements, not by groups.
type cache struct {
	groups        *simplelru.LRU[revenue.GroupKey, cached]
	statements    int
	statementsMax int
}

type cached struct {
	slice  int32
	events []revenue.Event
	held   revenue.Held
}

func newCache(statementsMax int) *cache {
	c := &cache{statementsMax: statementsMax}
	// The count of groups cannot exceed that of statements.
	groups, err := simplelru.NewLRU(max(1, statementsMax), func(_ revenue.GroupKey, gone cached) {
		c.statements -= len(gone.events)
	})
	if err != nil {
		panic(err) // only for a size below 1
	}
	c.groups = groups
	return c
}

func (c *cache) get(key revenue.GroupKey) (cached, bool) { return c.groups.Get(key) }

func (c *cache) put(key revenue.GroupKey, group cached) {
	c.groups.Remove(key)
	if len(group.events) > c.statementsMax {
		return
	}
	c.groups.Add(key, group)
	c.statements += len(group.events)
	for c.statements > c.statementsMax {
		c.groups.RemoveOldest()
	}
}

// drop forgets all groups of a slice: what the store holds of them is no longer
// known.
func (c *cache) drop(slice int32) {
	for _, key := range c.groups.Keys() {
		if held, ok := c.groups.Peek(key); ok && held.slice == slice {
			c.groups.Remove(key)
		}
	}
}
