package connectors

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Limits of fetching an object, within the few seconds that providers wait for an
// answer to their delivery.
const (
	fetchTimeout  = 4 * time.Second
	fetchBytesMax = 4 << 20
)

// Client reads objects from a provider's API, for providers whose deliveries name
// an object and say nothing about it. The zero value is ready to use.
type Client struct {
	// Transport makes the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one object; zero is what can be waited for within a delivery.
	Timeout time.Duration
	// Answers are those of an earlier reading, which are not asked for again, and take
	// what is fetched; nil keeps none.
	Answers *Answers
}

// Client is one that fetches what a delivery names, and keeps what it fetched.
func (d *Delivery) Client() Client { return Client{Answers: d.Answers} }

// Fetch reads the object at a path below the API's base URL; see Read.
func (c Client) Fetch(ctx context.Context, baseURL, path string, authorise func(*http.Request)) (Object, error) {
	if text, known := c.Answers.get(path); known {
		return ParseObject(text)
	}
	text, err := c.Read(ctx, baseURL, path, func(request *http.Request) {
		request.Header.Set("Accept", "application/json")
		authorise(request)
	})
	if err != nil {
		return nil, err
	}
	o, err := ParseObject(text)
	if err == nil {
		c.Answers.put(path, text)
	}
	return o, err
}

// Recall is Fetch where there is no key to ask with: what an earlier reading has fetched is
// known, and all else refused.
func (c Client) Recall(path string) (Object, error) {
	if text, known := c.Answers.get(path); known {
		return ParseObject(text)
	}
	path, _, _ = strings.Cut(path, "?")
	return nil, &RefusedError{Path: path, Status: http.StatusUnauthorized, Detail: "the endpoint has no key any more"}
}

// RefusedError says that an API does not tell what it was asked, and will not as long as
// it is asked so: mostly because the key may not read it. A person has to act.
type RefusedError struct {
	// Path is what was asked for, Status the answer's, Detail what the API says of it.
	Path   string
	Status int
	Detail string
}

// Error is all of it.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("the provider's API refuses %s with %d %s", e.Path, e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// refusedDetailMax bounds what is quoted of an API, in bytes.
const refusedDetailMax = 300

func refusal(path string, status int, text []byte) error {
	path, _, _ = strings.Cut(path, "?")
	e := &RefusedError{Path: path, Status: status}
	if answer, err := ParseObject(text); err == nil {
		e.Detail = answer.Text("error.message", "error.detail", "message", "detail")
		e.Detail = strings.ToValidUTF8(e.Detail[:min(len(e.Detail), refusedDetailMax)], "")
	}
	return e
}

// refuses reports whether a status means that asking again would not help.
func refuses(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	default:
		return status >= http.StatusBadRequest && status < http.StatusInternalServerError
	}
}

// Read reads what is at a path below a base URL; authorise puts the credentials on
// the request. That there is nothing is an ErrMalformed, for a retry would not make
// it. What the API refuses, above all to this key, is a *RefusedError; every other
// failure is temporary.
func (c Client) Read(ctx context.Context, baseURL, path string, authorise func(*http.Request)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, fetchTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(baseURL, "/")+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", path, err)
	}
	authorise(request)
	// A redirect would carry the API key elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := (&http.Client{Transport: c.Transport, CheckRedirect: stay}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, fetchBytesMax+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetching %s: %w", path, err)
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone:
		return nil, &InvalidError{Code: "unknown_object", Detail: "The provider does not know " + path + "."}
	case refuses(response.StatusCode):
		return nil, refusal(path, response.StatusCode, text)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetching %s: the provider answers %s", path, response.Status)
	case len(text) > fetchBytesMax:
		return nil, &InvalidError{Code: "too_large", Detail: fmt.Sprintf("%s is larger than %d bytes.", path, fetchBytesMax)}
	}
	return text, nil
}
