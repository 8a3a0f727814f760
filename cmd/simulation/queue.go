package simulation

import (
	"container/heap"
	"math/rand/v2"
)

// parcel is an errand on its way, with its place in the order of departure.
type parcel struct {
	errand
	place     uint64
	duplicate bool
}

// mail puts errands into the order in which providers deliver them: mostly as
// things happened, some late, some twice. It is deterministic per seed.
type mail struct {
	random               *rand.Rand
	duplicates, disorder float64
	window               int
	waiting              parcels
	next                 uint64
}

func newMail(seed uint64, options Options) *mail {
	return &mail{
		random:     rand.New(rand.NewPCG(seed, 0x6d61696c)),
		duplicates: options.Duplicates, disorder: options.Disorder, window: options.Window,
	}
}

// post takes an errand in.
func (m *mail) post(e errand) {
	m.next++
	place := m.next
	if m.random.Float64() < m.disorder {
		place += m.lateness()
	}
	heap.Push(&m.waiting, parcel{errand: e, place: place})
	// An errand of several steps repeats them itself: a step that comes again after
	// the next one would undo it.
	for len(e.deliveries) == 1 && m.random.Float64() < m.duplicates {
		heap.Push(&m.waiting, parcel{errand: e, place: m.next + m.lateness(), duplicate: true})
	}
}

func (m *mail) lateness() uint64 {
	window := m.window
	if m.random.IntN(100) == 0 {
		window *= 10
	}
	return uint64(1 + m.random.IntN(window))
}

// due returns the next errand whose turn it is; at the end of the run, all are.
func (m *mail) due(atEnd bool) (parcel, bool) {
	if len(m.waiting) == 0 || !atEnd && m.waiting[0].place > m.next {
		return parcel{}, false
	}
	return heap.Pop(&m.waiting).(parcel), true
}

// parcels is a heap by place; ties leave as the heap has them, which is a
// function of the pushes.
type parcels []parcel

func (p parcels) Len() int           { return len(p) }
func (p parcels) Less(i, j int) bool { return p[i].place < p[j].place }
func (p parcels) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)        { *p = append(*p, x.(parcel)) }
func (p *parcels) Pop() any {
	last := len(*p) - 1
	popped := (*p)[last]
	(*p)[last] = parcel{} // or its body stays alive
	*p = (*p)[:last]
	return popped
}
