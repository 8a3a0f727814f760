package simulation

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// storiesAtOnce is how many stories are under way at a time: enough that what is
// next to each other in the mail is mostly of different customers, few enough
// that what belongs together can overtake itself.
const storiesAtOnce = 24

// stage opens stories and hands out their errands, a bit of each in turn, until
// enough has been told.
type stage struct {
	script Script
	truth  *Truth
	random *rand.Rand
	open   []*story
	next   int
	// events is how many the opened stories come to; most is when to open no more,
	// unless there is a deadline.
	events, most int
	lasting      time.Duration
	deadline     time.Time
}

func newStage(script Script, o Options, truth *Truth) *stage {
	return &stage{script: script, truth: truth, random: rand.New(rand.NewPCG(o.Seed, 0x7374616765)), lasting: o.Duration}
}

// goOn lets so many more events be told, or begins the time that there is.
func (s *stage) goOn(events int) {
	s.most = s.events + events
	if s.lasting > 0 {
		s.deadline = time.Now().Add(s.lasting)
	}
}

func (s *stage) enough() bool {
	if !s.deadline.IsZero() {
		return time.Now().After(s.deadline)
	}
	return s.events >= s.most
}

// errand is the next thing that happens; ok is false when all stories are told.
func (s *stage) errand() (e errand, ok bool) {
	for len(s.open) < storiesAtOnce && !s.enough() {
		s.begin()
	}
	if len(s.open) == 0 {
		return errand{}, false
	}
	i := s.random.IntN(len(s.open))
	told := s.open[i]
	e, told.errands = told.errands[0], told.errands[1:]
	if len(told.errands) == 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
	return e, true
}

// begin opens a story and books what it will have come to.
func (s *stage) begin() {
	told := s.script.story(s.next)
	s.next++
	slices.SortStableFunc(told.errands, func(a, b errand) int { return a.at.Compare(b.at) })
	for _, e := range told.errands {
		for _, d := range e.deliveries {
			if !d.SameAnswer {
				s.events += d.Events
			}
		}
	}
	if len(told.errands) > 0 {
		s.open = append(s.open, told)
	}
	s.truth.add(&told.book)
}

// play posts everything that happens and sends what is due, until the stories are
// told or the context ends.
func (s *stage) play(ctx context.Context, m *mail, out chan<- parcel) {
	defer close(out)
	for atEnd := false; ; {
		if !atEnd {
			e, ok := s.errand()
			if ok {
				m.post(e)
			}
			atEnd = !ok
		}
		for {
			p, due := m.due(atEnd)
			if !due {
				break
			}
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
		if atEnd {
			return
		}
	}
}
