package ingest

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"revstream/connectors/trackly"
)

// registrationsAtOnce bounds how many entries of one request are on their way to
// Kafka at a time.
const registrationsAtOnce = 64

// postMessages registers the messages that revenue records refer to, with their
// contacts, offers and short links. To register again replaces.
func (s *Server) postMessages(ctx context.Context, r request) (answer, error) {
	entries, count, err := trackly.ReadRegistration(r.body, s.cfg.RecordsPerRequestMax)
	if err != nil {
		return answer{}, err
	}
	// What messages refer to is there before them.
	for _, messages := range [...]bool{false, true} {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(registrationsAtOnce)
		for _, entry := range entries {
			if (entry.Entity == trackly.EntityMessage) != messages {
				continue
			}
			group.Go(func() error {
				return wrap("register "+string(entry.Entity), s.Messages.Put(groupCtx, registryKey(r.workspace.ID, entry.Entity, entry.ID), entry.Value))
			})
		}
		if err := group.Wait(); err != nil {
			return answer{}, err
		}
	}
	a := jsonAnswer(http.StatusCreated, struct {
		Success    bool               `json:"success"`
		Registered trackly.Registered `json:"registered"`
	}{true, count})
	a.accepted = len(entries)
	return a, nil
}

func registryKey(workspace string, entity trackly.Entity, id string) string {
	return workspace + "|" + string(entity) + "|" + id
}

// lookup finds registered things for one request. What this node has read already
// is found at once. The first miss waits until everything acknowledged before it
// has been read, for the registration may still be on its way to this node; from
// then on a miss of the same request is a miss.
func (s *Server) lookup(workspace string) trackly.Lookup {
	caughtUp := false
	return func(ctx context.Context, entity trackly.Entity, id string) ([]byte, bool, error) {
		key := registryKey(workspace, entity, id)
		value, found, err := s.Messages.Get(key)
		if err == nil && !found && !caughtUp && !s.isExternalOffer(workspace, entity, id) {
			value, found, err = s.Messages.GetLatest(ctx, key)
			caughtUp = err == nil
		}
		s.metrics.lookup(found)
		return value, found, err
	}
}

// isExternalOffer reports whether what is looked for as an offer's id is known
// here to be an external one. That is what most callers send, and each request
// would wait for Kafka to learn that no offer of ours has that name. The price: an
// offer whose own id is another's external id is overlooked until this node has
// read its registration.
func (s *Server) isExternalOffer(workspace string, entity trackly.Entity, id string) bool {
	if entity != trackly.EntityOffer {
		return false
	}
	// An error of the disk is met again, and reported, by the lookup that follows.
	_, found, err := s.Messages.Get(registryKey(workspace, trackly.EntityExternalOffer, id))
	return err == nil && found
}
