package simulation

import (
	"fmt"
	"time"
)

// story is one customer's, or one campaign's, dealings through one door.
type story struct {
	book
	errands []errand
}

// tell adds an errand that happened at the moment.
func (s *story) tell(at time.Time, deliveries ...Delivery) {
	s.errands = append(s.errands, errand{at, deliveries})
}

// Script makes up stories. Each is a function of the seed, the run and its
// number, whatever was made up before.
type Script struct {
	seed        uint64
	run         string
	span        span
	doors       []Door
	corrections float64
	duplicates  float64
	currency    string
	endpoint    string // of Stripe
	key         string
}

// newScript needs options with Run and Until set.
func newScript(o Options) Script {
	// A campaign of Trackly's has several times the events of any other story.
	var doors []Door
	for range 4 {
		for _, door := range Doors {
			if o.uses(door) && (door != DoorTrackly || len(doors) == 0) {
				doors = append(doors, door)
			}
		}
	}
	return Script{
		seed: o.Seed, run: o.Run, span: o.span(), doors: doors, corrections: o.Corrections, duplicates: o.Duplicates,
		currency: o.Currency, endpoint: o.StripeEndpoint, key: o.SecretKey,
	}
}

// scene is what the players of all doors work with.
type scene struct {
	Script
	dice
	*story
	// id begins every id of the story: unique to the run and the story.
	id string
	// serial numbers what has no better name.
	serial int
}

// story makes up the one of that number.
func (s Script) story(number int) *story {
	told := &story{}
	told.door = s.doors[number%len(s.doors)]
	scene := &scene{Script: s, dice: newDice(s.seed, uint64(number)), story: told, id: fmt.Sprintf("%s%x", s.run, number)}
	switch told.door {
	case DoorTrackly:
		scene.playTrackly()
	case DoorThriveStack:
		scene.playThriveStack()
	case DoorPulsora:
		scene.playPulsora()
	case DoorNative:
		scene.playNative()
	case DoorStripe:
		scene.playStripe()
	}
	return told
}

// name makes an id with a prefix, unique to the story.
func (s *scene) name(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s%s%03d", prefix, s.id, s.serial)
}

// corrected is whether something is amended afterwards.
func (s *scene) corrected() bool { return s.chance(s.corrections) }

// repeated is the delivery and, by chance, further deliveries of the one before, for errands whose steps have
// an order.
func (s *scene) repeated(d Delivery) []Delivery {
	deliveries := []Delivery{d}
	for s.chance(s.duplicates) {
		again := d
		again.SameAnswer = true
		deliveries = append(deliveries, again)
	}
	return deliveries
}

// startBefore is a moment at which something begins that is to go on for some time.
func (s *scene) startBefore(room time.Duration) time.Time {
	return s.moment(s.span.begin, s.span.end.Add(-room))
}
