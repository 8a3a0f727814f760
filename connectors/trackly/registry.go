package trackly

import (
	"context"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"

	"revstream/connectors"
)

// Entity is a kind of thing that revenue records refer to.
type Entity string

// The entities of the registry. EntityExternalOffer maps an offer's external id
// to the offer.
const (
	EntityMessage       Entity = "message"
	EntityContact       Entity = "contact"
	EntityOffer         Entity = "offer"
	EntityExternalOffer Entity = "external_offer"
	EntityShortLink     Entity = "short_link"
)

// Message is a message that was sent, as far as revenue is concerned.
type Message struct {
	ID        string `json:"id"` // 8 characters
	ContactID string `json:"contact_id,omitempty"`
	// OfferID (ours or external) or ShortLink say which offer the message was for.
	OfferID   string `json:"offer_id,omitempty"`
	ShortLink string `json:"short_link,omitempty"`
	Campaign  string `json:"campaign,omitempty"`
}

// Contact is a person that messages are sent to.
type Contact struct {
	ID string `json:"id"`
}

// Offer is what a message advertises.
type Offer struct {
	ID         string `json:"id"`
	ExternalID string `json:"external_id,omitempty"`
}

// ShortLink is the link in a message, which leads to an offer.
type ShortLink struct {
	ID      string `json:"id"`
	OfferID string `json:"offer_id,omitempty"`
}

// Entry is one thing to keep in the registry: its JSON under its entity and id.
type Entry struct {
	Entity Entity
	ID     string
	Value  []byte
}

// Lookup finds what was registered under an entity and id; found is false if
// nothing was. An error is temporary.
type Lookup func(ctx context.Context, entity Entity, id string) (value []byte, found bool, err error)

// Resolution is what a record's message and offer lead to.
type Resolution struct {
	ContactID, OfferID, Campaign string
}

// MessageReader reads the JSON of registered messages. A message is asked for with every
// record of it, so what was read last is remembered, under the text that it was read
// from: one that is registered anew has another. It is safe for concurrent use.
type MessageReader struct{ read *lru.Cache[string, Message] }

// NewMessageReader makes a reader that remembers up to so many messages, at least one.
func NewMessageReader(messagesMax int) (*MessageReader, error) {
	read, err := lru.New[string, Message](messagesMax)
	if err != nil {
		return nil, fmt.Errorf("make cache of messages: %w", err)
	}
	return &MessageReader{read}, nil
}

func (r *MessageReader) message(text []byte) (message Message, err error) {
	message, known := r.read.Get(string(text))
	if !known {
		if err = jsonv2.Unmarshal(text, &message); err == nil {
			r.read.Add(string(text), message)
		}
	}
	return message, err
}

// Resolver resolves the records of one request. Many records name few offers, so
// it asks for each once.
type Resolver struct {
	lookup   Lookup
	messages *MessageReader
	offers   map[string]string // our ids by the name that was given
}

// NewResolver makes a resolver for one request.
func NewResolver(lookup Lookup, messages *MessageReader) *Resolver {
	return &Resolver{lookup: lookup, messages: messages, offers: map[string]string{}}
}

// Resolve finds the record's message, its contact and the offer: the one that the
// record names (an external id becomes ours; an id that is not registered stays
// as it is, for the contract has no error for it), or else the message's own, or
// that of its short link. The error is a *connectors.InvalidError with code
// message_not_found or contact_not_found, or the lookup's own.
func (r *Resolver) Resolve(ctx context.Context, record Record) (Resolution, error) {
	text, found, err := r.lookup(ctx, EntityMessage, record.MessageID)
	if err != nil {
		return Resolution{}, fmt.Errorf("look up %s: %w", EntityMessage, err)
	}
	if !found {
		return Resolution{}, &connectors.InvalidError{Field: "message_id", Code: CodeMessageNotFound,
			Detail: "No message exists with the given ID."}
	}
	message, err := r.messages.message(text)
	if err != nil {
		return Resolution{}, fmt.Errorf("read registered %s: %w", EntityMessage, err)
	}
	if message.ContactID != "" {
		_, found, err := r.lookup(ctx, EntityContact, message.ContactID)
		if err != nil {
			return Resolution{}, fmt.Errorf("look up %s: %w", EntityContact, err)
		}
		if !found {
			return Resolution{}, &connectors.InvalidError{Field: "message_id", Code: CodeContactNotFound,
				Detail: "The contact associated with the message could not be found."}
		}
	}
	offer, err := r.resolveOffer(ctx, record.OfferID, message)
	return Resolution{ContactID: message.ContactID, OfferID: offer, Campaign: message.Campaign}, err
}

func (r *Resolver) resolveOffer(ctx context.Context, named string, message Message) (string, error) {
	if named == "" {
		named = message.OfferID
	}
	if named == "" && message.ShortLink != "" {
		var link ShortLink
		if _, err := r.find(ctx, EntityShortLink, message.ShortLink, &link); err != nil {
			return "", err
		}
		named = link.OfferID
	}
	if named == "" {
		return "", nil
	}
	if id, known := r.offers[named]; known {
		return id, nil
	}
	id, err := r.offerID(ctx, named)
	if err == nil {
		r.offers[named] = id
	}
	return id, err
}

// offerID is our id of the offer, or the name as given if it is not registered.
func (r *Resolver) offerID(ctx context.Context, named string) (string, error) {
	// An id of ours goes before an equal external id of another offer.
	for _, entity := range [...]Entity{EntityOffer, EntityExternalOffer} {
		var offer Offer
		found, err := r.find(ctx, entity, named, &offer)
		if err != nil {
			return "", err
		}
		if found {
			return offer.ID, nil
		}
	}
	return named, nil
}

func (r *Resolver) find(ctx context.Context, entity Entity, id string, target any) (bool, error) {
	value, found, err := r.lookup(ctx, entity, id)
	if err != nil {
		return false, fmt.Errorf("look up %s: %w", entity, err)
	}
	if !found {
		return false, nil
	}
	if err := jsonv2.Unmarshal(value, target); err != nil {
		return false, fmt.Errorf("read registered %s: %w", entity, err)
	}
	return true, nil
}
