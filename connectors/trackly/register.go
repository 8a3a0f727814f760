package trackly

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"revstream/connectors"
)

// MessageIDLength is the length of a message's id, in characters.
const MessageIDLength = 8

// registration is the long form of a request to the registry: lists of each.
type registration struct {
	Messages   connectors.Value `json:"messages"`
	Contacts   connectors.Value `json:"contacts"`
	Offers     connectors.Value `json:"offers"`
	ShortLinks connectors.Value `json:"short_links"`
}

// Registered counts what a registration holds.
type Registered struct {
	Messages   int `json:"messages"`
	Contacts   int `json:"contacts"`
	Offers     int `json:"offers"`
	ShortLinks int `json:"short_links"`
}

func (r Registered) total() int { return r.Messages + r.Contacts + r.Offers + r.ShortLinks }

// ReadRegistration reads a request to register messages: one message, an array of
// messages, or an object of the lists messages, contacts, offers and short_links,
// with at most entriesMax things in all. Nothing of a request with a fault is
// registered. What messages refer to comes before them, so that a reader who sees
// the message sees that too. The error is a *connectors.InvalidError.
func ReadRegistration(text []byte, entriesMax int) ([]Entry, Registered, error) {
	lists, err := readLists(text)
	if err != nil {
		return nil, Registered{}, err
	}
	reader := registrationReader{most: entriesMax}
	count := Registered{
		Contacts:   reader.list("contacts", lists.Contacts, reader.contact),
		Offers:     reader.list("offers", lists.Offers, reader.offer),
		ShortLinks: reader.list("short_links", lists.ShortLinks, reader.shortLink),
		Messages:   reader.list("messages", lists.Messages, reader.message),
	}
	switch {
	case reader.err != nil:
		return nil, Registered{}, reader.err
	case count.total() == 0:
		return nil, Registered{}, &connectors.InvalidError{Field: "messages", Code: "missing_messages", Detail: "There is nothing to register."}
	case count.total() > entriesMax:
		return nil, Registered{}, &connectors.InvalidError{Code: CodeTooManyRecords,
			Detail: fmt.Sprintf("Exceeded the maximum of %d registrations per request.", entriesMax)}
	}
	return reader.entries, count, nil
}

// readLists brings the three forms of a request into the longest.
func readLists(text []byte) (registration, error) {
	if connectors.Value(text).Kind() == '[' {
		return registration{Messages: text}, nil
	}
	var lists registration
	if err := connectors.ReadObject(text, &lists); err != nil {
		return registration{}, err
	}
	for _, list := range [...]connectors.Value{lists.Messages, lists.Contacts, lists.Offers, lists.ShortLinks} {
		if connectors.Given(list) {
			return lists, connectors.ReadObjectStrictly(text, &registration{})
		}
	}
	return registration{Messages: append(append([]byte{'['}, text...), ']')}, nil
}

// registrationReader collects entries up to the first fault.
type registrationReader struct {
	most      int // of one list: more than that are counted only
	entries   []Entry
	positions map[string]int // in entries, by entity and id
	err       error
}

func (r *registrationReader) list(name string, value connectors.Value, read func(connectors.Value) error) int {
	if r.err != nil || !connectors.Given(value) {
		return 0
	}
	items, err := connectors.ReadArray(value, r.most)
	if err != nil {
		r.err = connectors.Within(name, err)
		return 0
	}
	if len(items) > r.most {
		return len(items)
	}
	for i, item := range items {
		if err := read(item); err != nil {
			r.err = connectors.Within(fmt.Sprintf("%s.%d", name, i), err)
			return 0
		}
	}
	return len(items)
}

func (r *registrationReader) add(entity Entity, id string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", entity, err)
	}
	entry := Entry{Entity: entity, ID: id, Value: text}
	// Entries are kept in no order, so of two with one id only the last is there.
	key := string(entity) + "|" + id
	if at, known := r.positions[key]; known {
		r.entries[at] = entry
		return nil
	}
	if r.positions == nil {
		r.positions = map[string]int{}
	}
	r.positions[key] = len(r.entries)
	r.entries = append(r.entries, entry)
	return nil
}

func (r *registrationReader) message(text connectors.Value) error {
	var body struct {
		ID        connectors.Value `json:"id"`
		MessageID connectors.Value `json:"message_id"`
		ContactID connectors.Value `json:"contact_id"`
		OfferID   connectors.Value `json:"offer_id"`
		ShortLink connectors.Value `json:"short_link"`
		Campaign  connectors.Value `json:"campaign"`
	}
	if err := connectors.ReadObjectStrictly(text, &body); err != nil {
		return err
	}
	if connectors.Given(body.MessageID) { // the name that revenue records use
		body.ID = body.MessageID
	}
	var fields connectors.Fields
	message := Message{
		ID:        fields.RequiredText("id", body.ID),
		ContactID: fields.Text("contact_id", body.ContactID),
		OfferID:   fields.Text("offer_id", body.OfferID),
		ShortLink: fields.Text("short_link", body.ShortLink),
		Campaign:  fields.Text("campaign", body.Campaign),
	}
	if utf8.RuneCountInString(message.ID) != MessageIDLength {
		fields.Invalid("id", "must have %d characters", MessageIDLength)
	}
	if err := fields.Err(); err != nil {
		return err
	}
	return r.add(EntityMessage, message.ID, message)
}

func (r *registrationReader) contact(text connectors.Value) error {
	var body struct {
		ID connectors.Value `json:"id"`
	}
	if err := connectors.ReadObjectStrictly(text, &body); err != nil {
		return err
	}
	var fields connectors.Fields
	contact := Contact{ID: fields.RequiredText("id", body.ID)}
	if err := fields.Err(); err != nil {
		return err
	}
	return r.add(EntityContact, contact.ID, contact)
}

func (r *registrationReader) offer(text connectors.Value) error {
	var body struct {
		ID         connectors.Value `json:"id"`
		ExternalID connectors.Value `json:"external_id"`
	}
	if err := connectors.ReadObjectStrictly(text, &body); err != nil {
		return err
	}
	var fields connectors.Fields
	offer := Offer{ID: fields.RequiredText("id", body.ID), ExternalID: fields.Text("external_id", body.ExternalID)}
	if err := fields.Err(); err != nil {
		return err
	}
	if offer.ExternalID != "" {
		if err := r.add(EntityExternalOffer, offer.ExternalID, offer); err != nil {
			return err
		}
	}
	return r.add(EntityOffer, offer.ID, offer)
}

func (r *registrationReader) shortLink(text connectors.Value) error {
	var body struct {
		ID      connectors.Value `json:"id"`
		OfferID connectors.Value `json:"offer_id"`
	}
	if err := connectors.ReadObjectStrictly(text, &body); err != nil {
		return err
	}
	var fields connectors.Fields
	link := ShortLink{ID: fields.RequiredText("id", body.ID), OfferID: fields.RequiredText("offer_id", body.OfferID)}
	if err := fields.Err(); err != nil {
		return err
	}
	return r.add(EntityShortLink, link.ID, link)
}
