package simulation

import "time"

// happening is what a flow is: an event type of GET /revenue, or one that is
// reported elsewhere.
type happening uint8

const (
	purchase happening = iota
	subscriptionPurchase
	trialConversion
	renewal
	refund
	cancellation
	expiration
	trialStart
	dispute
	disputeReversal
	fee
)

// charge reports whether money came in by it.
func (h happening) charge() bool { return h <= renewal }

// listed reports whether GET /revenue lists it without being asked for it.
func (h happening) listed() bool { return h <= trialStart }

// flow is something that happened at a moment, and the money that it moved.
type flow struct {
	what happening
	at   time.Time
	// amount is a magnitude in minor units; which way it went follows from what.
	// Tax, fee and discount are those of charges.
	amount, tax, fee, discount int64
	recurring                  bool
	// subscription is whose cancellation it is, takenBack when it was taken back;
	// never, if zero.
	subscription string
	takenBack    time.Time
}

// worth says what a subscription is worth from a moment on.
type worth struct {
	at  time.Time
	mrr int64 // 1/10,000 minor units a month
	// active is whether it counts as an active subscription: paid and not
	// cancelled.
	active bool
}

// subscription is the history of one, in order.
type subscription struct {
	id     string
	levels []worth
}

// customer has subscriptions. What changes for a customer within an hour is one
// movement, so stories keep changes further apart, or at one moment.
type customer struct {
	subscriptions []*subscription
}

// book is what a story comes to, in the end: the side of it that the service is
// to find out.
type book struct {
	door      Door
	flows     []flow
	customers []*customer
}

func (b *book) add(f flow) { b.flows = append(b.flows, f) }

// customer opens an account.
func (b *book) customer() *customer {
	c := &customer{}
	b.customers = append(b.customers, c)
	return c
}

func (c *customer) subscribe(id string) *subscription {
	s := &subscription{id: id}
	c.subscriptions = append(c.subscriptions, s)
	return s
}

// from sets the level from the moment on. A level at the moment of the one before
// replaces it.
func (s *subscription) from(at time.Time, mrr int64, active bool) {
	next := worth{at, mrr, active && mrr > 0}
	if last := len(s.levels) - 1; last >= 0 && s.levels[last].at.Equal(at) {
		s.levels[last] = next
		return
	}
	s.levels = append(s.levels, next)
}

// until is the last level before the moment: nothing, if it had not begun.
func (s *subscription) until(at time.Time) worth {
	level := worth{}
	for _, next := range s.levels {
		if !next.at.Before(at) {
			break
		}
		level = next
	}
	return level
}
