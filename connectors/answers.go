package connectors

import (
	"bytes"
	"encoding/json"
	"maps"
	"sync"
)

// answersBytesMax bounds the answers that are kept beside one delivery. What is beyond it
// is asked for again when the delivery is.
const answersBytesMax = 1 << 20

// Answers are what a provider's API said while a delivery was read, by the path and query
// that it was asked for. They are kept with the delivery, because an API says how things
// are: asked again next year, it would make an event of today say something else. What the
// API refused, or did not have, is not among them and is asked for again. The zero value
// has none; it can be used by several goroutines.
type Answers struct {
	mu    sync.Mutex
	said  map[string]json.RawMessage
	bytes int
}

// NewAnswers returns the answers that were kept of an earlier reading; nil is none.
func NewAnswers(kept map[string]json.RawMessage) *Answers {
	a := &Answers{said: maps.Clone(kept)}
	for _, text := range kept {
		a.bytes += len(text)
	}
	return a
}

// Kept are the answers, to be kept; nil if there are none.
func (a *Answers) Kept() map[string]json.RawMessage {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.said)
}

func (a *Answers) get(path string) (text []byte, known bool) {
	if a == nil {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	text, known = a.said[path]
	return text, known
}

func (a *Answers) put(path string, text []byte) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes+len(text) > answersBytesMax {
		return
	}
	if a.said == nil {
		a.said = map[string]json.RawMessage{}
	}
	a.said[path] = bytes.Clone(text)
	a.bytes += len(text)
}
