package alerts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"revstream/ingest/control"
)

// newClient posts to receivers that somebody else has named: it follows no redirect,
// knows no proxy, and reaches only what is public, judged by the address that it
// connects to, after the name was looked up.
func newClient(config Config) *http.Client {
	dialer := &net.Dialer{Timeout: config.AttemptTimeout}
	if !config.AllowPrivate {
		dialer.Control = ssrf.New(ssrf.WithAnyPort()).Safe
	}
	return &http.Client{
		Timeout:       config.AttemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: config.AttemptTimeout, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: config.ResponseBytesMax, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
		},
	}
}

// outcome is what came of an attempt.
type outcome struct {
	// status is the receiver's, 0 without an answer; err is nil if it took it.
	status uint16
	err    error
	// retryAfter is what it asked for.
	retryAfter time.Duration
}

// gone: the receiver wants nothing any more, ever.
func (o outcome) gone() bool { return o.status == http.StatusGone }

// deliver tells a receiver once, in the way that its URL asks for.
func (n *Notifier) deliver(ctx context.Context, alert *control.Alert, id, text string) outcome {
	channel, address := alert.Channel()
	if channel == control.ChannelWebhook {
		request, err := signed(ctx, alert, id, []byte(text), n.now())
		if err != nil {
			return outcome{err: err}
		}
		return n.post(request)
	}
	message, err := readable(text)
	if err != nil {
		return outcome{err: err}
	}
	if channel == control.ChannelMail {
		return n.mail(ctx, address, id, message)
	}
	request, err := toSlack(ctx, address, message)
	if err != nil {
		return outcome{err: err}
	}
	return n.post(request)
}

// post sends a request once. What the receiver says beside its status is not kept: it is
// none of ours, and might be of a network that is not the subscriber's.
func (n *Notifier) post(request *http.Request) outcome {
	response, err := n.client.Do(request)
	if err != nil {
		return outcome{err: concise(err)}
	}
	defer func() { _ = response.Body.Close() }()
	// Read, so that the connection can be used again; what is longer ends it.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, n.config.ResponseBytesMax))
	o := outcome{status: uint16(response.StatusCode)}
	if response.StatusCode/100 != 2 {
		o.err = fmt.Errorf("the receiver answered %d", response.StatusCode)
		if wait, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && wait > 0 {
			o.retryAfter = min(time.Duration(min(wait, 1<<20))*time.Second, n.config.BackoffMax)
		}
	}
	return o
}

// signed is the request, with a signature of each secret.
func signed(ctx context.Context, alert *control.Alert, id string, text []byte, at time.Time) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, alert.URL, bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("the URL cannot be called")
	}
	var signatures []string
	for _, secret := range alert.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			return nil, errors.New("a secret cannot sign")
		}
		signature, err := signer.Sign(id, at, text)
		if err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		signatures = append(signatures, signature)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "revstream")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return request, nil
}

// concise is why an attempt failed, without the URL, whose path may be secret.
func concise(err error) error {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork):
		return errors.New("the receiver's address is not public, and alerts.allow_private is off")
	case errors.As(err, &dns):
		return errors.New("the receiver's name cannot be looked up")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the receiver did not answer in time")
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner // the innermost says what, those around it where
	}
	return err
}
