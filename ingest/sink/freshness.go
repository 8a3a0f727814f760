package sink

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"revstream/clickhouse"
)

// sight is the end of a slice's log as seen at a moment: whatever was accepted
// before the moment lies before the end.
type sight struct {
	at  time.Time
	end int64
}

// logEnds is a sight of every slice's log, and where each begins.
type logEnds struct {
	at      time.Time
	topicID string
	ends    map[int32]int64
	starts  map[int32]int64
}

// watchEnds looks at the ends of the log now and then, beside the loop, so that
// a slow broker does not hold up the batches.
func (s *Sink) watchEnds(ctx context.Context) {
	ticker := time.NewTicker(s.config.FreshnessInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if seen, ok := s.lookAtEnds(ctx); ok {
			select {
			case <-s.ends: // an older sight that nobody took
			default:
			}
			s.ends <- seen
		}
	}
}

func (s *Sink) lookAtEnds(ctx context.Context) (logEnds, bool) {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// The moment comes first: what is accepted after it may or may not be seen.
	seen := logEnds{at: time.Now().UTC(), ends: map[int32]int64{}, starts: map[int32]int64{}}
	ends, err := s.admin.ListEndOffsets(bounded, s.topic)
	if err != nil {
		s.log.Debug("list end offsets", zap.Error(err))
		return seen, false
	}
	starts, err := s.admin.ListStartOffsets(bounded, s.topic)
	if err != nil {
		s.log.Debug("list start offsets", zap.Error(err))
		return seen, false
	}
	// The id comes last: if it is that of a session, then so are the ends.
	if seen.topicID, err = s.topicID(bounded); err != nil {
		s.log.Debug("ask for the topic's id", zap.Error(err))
		return seen, false
	}
	for slice, o := range ends[s.topic] {
		if o.Err == nil {
			seen.ends[slice] = o.Offset
		}
	}
	for slice, o := range starts[s.topic] {
		if o.Err == nil {
			seen.starts[slice] = o.Offset
		}
	}
	return seen, true
}

// reportFreshness saves, for every slice that has reached a sight of its log's
// end, the moment of that sight: everything accepted before it is in the ledger.
func (s *Sink) reportFreshness(ctx context.Context) error {
	seen := s.newestEnds()
	s.reportLag(seen)
	var progress []clickhouse.Progress
	for _, session := range s.live() {
		if !session.owned || seen.ends != nil && seen.topicID != session.topicID {
			continue
		}
		if start, end := seen.starts[session.slice], seen.ends[session.slice]; seen.ends != nil && session.next < 0 && start == end {
			if session.rewindTo >= 0 && start > session.rewindTo {
				return fmt.Errorf("slice %d: %w: it begins at %d, and %d was not stored", session.slice, ErrLogLost, start, session.rewindTo)
			}
			session.next, session.rewindTo = end, -1 // an empty log: nothing to wait for
		}
		if err := session.lost(seen.starts[session.slice]); err != nil {
			return err
		}
		if session.reached(seen) {
			progress = append(progress, clickhouse.Progress{
				Slice: session.slice, Epoch: session.epoch, Offset: session.next, CompleteThrough: session.complete})
		}
	}
	if len(progress) == 0 {
		return nil
	}
	return s.store.SaveProgress(ctx, progress)
}

// reportLag shows how many records of each slice are still to be stored, at a sight
// of their ends, if there is one. While the store is away nothing else does.
func (s *Sink) reportLag(seen logEnds) {
	for _, session := range s.live() {
		end, known := seen.ends[session.slice]
		if !known || session.topicID != "" && session.topicID != seen.topicID {
			continue
		}
		stored := max(session.next, session.committed.Load(), seen.starts[session.slice])
		s.metrics.lag.WithLabelValues(strconv.Itoa(int(session.slice))).Set(float64(max(0, end-stored)))
	}
}

// newestEnds is the newest look at the log's ends that nobody has taken, or none.
func (s *Sink) newestEnds() logEnds {
	select {
	case seen := <-s.ends:
		return seen
	default:
		return logEnds{}
	}
}

// reached takes a new sight as target once the one before is reached (a newer
// target each time would never be, under steady traffic), and reports whether
// the session is complete through a later moment than before.
func (session *session) reached(seen logEnds) bool {
	arrived := !session.target.at.IsZero() && session.next >= session.target.end
	if arrived {
		session.complete, session.target = session.target.at, sight{}
	}
	if end, ok := seen.ends[session.slice]; ok && session.target.at.IsZero() {
		session.target = sight{seen.at, end}
		if session.next >= end {
			session.complete, session.target = seen.at, sight{}
			arrived = true
		}
	}
	return arrived
}
