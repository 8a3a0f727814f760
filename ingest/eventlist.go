package ingest

import (
	"sync"

	"revstream/ingest/revenue"
)

// eventLists lends lists for the statements of a request, which are gone once they are
// published: a statement is a kilobyte, and a request may have a thousand. The zero
// value is ready.
type eventLists struct{ pool sync.Pool }

// borrow returns an empty list.
func (l *eventLists) borrow() *[]revenue.Event {
	if list, ok := l.pool.Get().(*[]revenue.Event); ok {
		return list
	}
	return new([]revenue.Event)
}

// giveBack takes a list back, whatever it has become.
func (l *eventLists) giveBack(list *[]revenue.Event) {
	clear(*list) // lets go of the texts
	*list = (*list)[:0]
	l.pool.Put(list)
}
