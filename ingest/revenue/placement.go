package revenue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Placement says in which group a fact is. A group is folded by itself, so a fact that is
// stated in one group and then in another would count in both: whoever accepts statements
// keeps the placement of each fact, and takes the fact back where it no longer is.
//
// Two rules make that independent of the order in which statements come in. What does not
// stand is not said in another group than the one that has the fact. And what moves a fact
// has a higher version than anything said before, so the retractions of that version win
// in the groups that it leaves. The zero Placement is that of a fact never stated.
type Placement struct {
	// Version is that of the statement that stands, and Group where it is.
	Version int64
	Group   string
	// Former are other groups in which the fact was. Each statement retracts it there
	// again, because the one before may have been cut off before it had.
	Former []string
}

// formerGroupsMax bounds what a statement about a fact may cost.
const formerGroupsMax = 64

// Errors of Placement.Take.
var (
	// ErrVersionTaken: a statement of the same version has the fact in another group, and
	// nobody could say which of them stands.
	ErrVersionTaken = errors.New("version is that of a statement in another group")
	// ErrMovedTooOften: the fact was in more groups than are kept.
	ErrMovedTooOften = errors.New("fact was in too many groups")
)

// Take places the fact where a statement about it says, if that stands, and reports whether
// the statement is to be published: one that does not stand, and belongs elsewhere, says
// nothing any more. After an error the placement is what it was.
func (p *Placement) Take(e *Event) (publish bool, err error) {
	switch {
	case p.Group == "":
		p.Version, p.Group = e.Version, e.Group
		return true, nil
	case e.Group == p.Group:
		// Which of the two stands the fold finds out: both are in its group.
		p.Version = max(p.Version, e.Version)
		return true, nil
	case e.Version < p.Version:
		return false, nil
	case e.Version == p.Version:
		return false, ErrVersionTaken
	case len(p.Former) >= formerGroupsMax && !slices.Contains(p.Former, e.Group):
		return false, ErrMovedTooOften
	}
	p.Merge(Placement{Version: e.Version, Group: e.Group})
	return true, nil
}

// Merge adds what another acceptance knows of the fact. Of two equal versions the one that
// was there stands.
func (p *Placement) Merge(other Placement) {
	groups := slices.Concat(p.Former, []string{p.Group, other.Group}, other.Former)
	if p.Group == "" || other.Version > p.Version {
		p.Version, p.Group = other.Version, other.Group
	}
	slices.Sort(groups)
	p.Former = slices.DeleteFunc(slices.Compact(groups), func(group string) bool { return group == p.Group || group == "" })
}

// Retractions are the statements by which the fact of e is not in any other group than the
// one that has it. What they say besides is from e.
func (p *Placement) Retractions(e *Event) []Event {
	var list []Event
	for _, group := range p.Former {
		list = append(list, Event{
			Workspace: e.Workspace, Provider: e.Provider, Account: e.Account, Livemode: e.Livemode, ObjectID: e.ObjectID, Kind: e.Kind,
			TestClock: e.TestClock, Group: group, Version: p.Version, Deleted: true,
			OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt, Delivery: e.Delivery,
		})
	}
	return list
}

// Append appends a form of the placement that ParsePlacement reads: the version, and each
// group behind its length. There is one for every fact, so it is short.
func (p *Placement) Append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, p.Version)
	for _, group := range append([]string{p.Group}, p.Former...) {
		dst = binary.AppendUvarint(dst, uint64(len(group)))
		dst = append(dst, group...)
	}
	return dst
}

// ParsePlacement reads what Append has written.
func ParsePlacement(text []byte) (Placement, error) {
	version, n := binary.Varint(text)
	if n <= 0 {
		return Placement{}, fmt.Errorf("version of placement %q is malformed", text)
	}
	var groups []string
	for rest := text[n:]; len(rest) > 0; {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return Placement{}, fmt.Errorf("group of placement %q is malformed", text)
		}
		end := n + int(length)
		groups, rest = append(groups, string(rest[n:end])), rest[end:]
	}
	if len(groups) == 0 {
		return Placement{}, fmt.Errorf("placement %q has no group", text)
	}
	return Placement{Version: version, Group: groups[0], Former: groups[1:]}, nil
}
