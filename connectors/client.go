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
}

// Fetch reads the object at a path below the API's base URL; see Read.
func (c Client) Fetch(ctx context.Context, baseURL, path string, authorise func(*http.Request)) (Object, error) {
	text, err := c.Read(ctx, baseURL, path, func(request *http.Request) {
		request.Header.Set("Accept", "application/json")
		authorise(request)
	})
	if err != nil {
		return nil, err
	}
	return ParseObject(text)
}

// Read reads what is at a path below a base URL; authorise puts the credentials on
// the request. That there is nothing is an ErrMalformed, for a retry would not make
// it; every other failure is temporary, a refused key among them: it can be mended
// while the provider keeps trying.
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
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetching %s: the provider answers %s", path, response.Status)
	case len(text) > fetchBytesMax:
		return nil, &InvalidError{Code: "too_large", Detail: fmt.Sprintf("%s is larger than %d bytes.", path, fetchBytesMax)}
	}
	return text, nil
}
