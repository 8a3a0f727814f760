package simulation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// inspector asks the service questions.
type inspector struct {
	client   *http.Client
	options  Options
	patience time.Duration

	mu sync.Mutex
	// inconsistent are answers that contradict themselves.
	inconsistent []string
}

func (i *inspector) complain(format string, args ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.inconsistent = append(i.inconsistent, fmt.Sprintf(format, args...))
}

func newInspector(o Options) *inspector {
	return &inspector{client: newClient(o), options: o, patience: o.Patience}
}

// headerCompleteThrough is the moment before which everything accepted is in an
// answer.
const headerCompleteThrough = "X-Complete-Through"

// ask puts a question until there is an answer, and decodes its body.
func (i *inspector) ask(ctx context.Context, path string, values url.Values, body any) (http.Header, error) {
	values.Set("workspaceSlug", i.options.Workspace)
	base := cmp.Or(i.options.QuestionsURL, i.options.URL)
	address := strings.TrimSuffix(base, "/") + path + "?" + values.Encode()
	deadline := time.Now().Add(i.patience)
	for attempt := 0; ; attempt++ {
		header, retryAfter, err := i.attempt(ctx, address, body)
		if err == nil || errors.As(err, new(*refusal)) {
			return header, err
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return nil, fmt.Errorf("asking %s %d times: %w", path, attempt+1, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pause(attempt), retryAfter)):
		}
	}
}

// attempt asks once. A *refusal says that asking again is of no use, any other
// error that it is, but not before retryAfter.
func (i *inspector) attempt(ctx context.Context, address string, body any) (header http.Header, retryAfter time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, &refusal{fmt.Errorf("making a question: %w", err)}
	}
	request.Header.Set("X-Api-Key", i.options.SecretKey)
	response, err := i.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	if err != nil {
		return nil, 0, fmt.Errorf("reading an answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		err := fmt.Errorf("%s answered %d: %s", request.URL.RequestURI(), response.StatusCode, clip(text))
		if temporary(response.StatusCode) {
			return nil, parseRetryAfter(response.Header), err
		}
		return nil, 0, &refusal{err}
	}
	if err := json.Unmarshal(text, body); err != nil {
		return nil, 0, &refusal{fmt.Errorf("%s answered what cannot be read: %w", request.URL.RequestURI(), err)}
	}
	return response.Header, 0, nil
}

// settle waits until the service says that all it accepted before the moment is
// in its answers.
func (i *inspector) settle(ctx context.Context, acknowledged time.Time) error {
	deadline := time.Now().Add(i.options.SettleTimeout)
	for {
		complete, _, err := i.completeThrough(ctx)
		if err != nil {
			return err
		}
		if complete.After(acknowledged) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v its answers are complete through %v, and its last acknowledgement was before %v",
				i.options.SettleTimeout, complete.Format(time.RFC3339Nano), acknowledged.Format(time.RFC3339Nano))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// completeThrough is the moment before which everything accepted is in the
// answers, the zero time if the service does not say, having stored nothing; and
// about what time it is there.
func (i *inspector) completeThrough(ctx context.Context) (complete, now time.Time, err error) {
	var body struct{}
	day := i.options.Until.UTC().Format(time.DateOnly)
	header, err := i.ask(ctx, endpointMetricsRevenue, url.Values{"since": {day}, "until": {day}}, &body)
	if err != nil || header.Get(headerCompleteThrough) == "" {
		return time.Time{}, serverTime(header), err
	}
	complete, err = time.Parse(time.RFC3339Nano, header.Get(headerCompleteThrough))
	if err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf("reading %s: %w", headerCompleteThrough, err)
	}
	return complete, serverTime(header), nil
}
