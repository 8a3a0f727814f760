package paypal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"revstream/connectors"
)

// lookUpTimeout bounds what is fetched for one delivery.
const lookUpTimeout = 8 * time.Second

// lookUp finds the subscription that an event is about or was paid for, and its
// plan. What the API does not know, or nobody may ask it for, stays unknown; what it
// refuses to the app does, too, and is said. The error is temporary.
func (e *event) lookUp(ctx context.Context) error {
	err := e.ask(ctx)
	if errors.As(err, new(*connectors.RefusedError)) {
		e.Lacks, err = err, nil
	}
	return err
}

func (e *event) ask(ctx context.Context) error {
	settings, paidFor := e.Delivery.Settings, ""
	switch {
	case strings.HasPrefix(e.About.Type, "BILLING.SUBSCRIPTION."):
		e.agreement, e.plan = e.resource, e.resource.Child("plan")
	case e.About.Type == "PAYMENT.SALE.COMPLETED":
		paidFor = e.resource.ID("billing_agreement_id")
	}
	if settings["client_id"] == "" || e.agreement == nil && paidFor == "" || regular(e.plan).Child("frequency") != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	client := e.Delivery.Client()
	client.Transport = &oauth2.Transport{Source: oauth2.ReuseTokenSource(nil, credentials{ctx, settings})}
	get := func(path, id string) (connectors.Object, error) {
		object, err := client.Fetch(ctx, settings["api_url"], path+url.PathEscape(id), func(*http.Request) {})
		if errors.Is(err, connectors.ErrMalformed) {
			return nil, nil // it does not know it, which is not the payment's fault
		}
		return object, err
	}
	var err error
	if paidFor != "" {
		if e.agreement, err = get("/v1/billing/subscriptions/", paidFor); err != nil {
			return err
		}
	}
	if id := e.agreement.ID("plan_id"); id != "" {
		e.plan, err = get("/v1/billing/plans/", id)
	}
	return err
}

// credentials are those of the endpoint, good for the time of one delivery.
type credentials struct {
	ctx      context.Context
	settings connectors.Settings
}

// Token asks PayPal for a token.
func (c credentials) Token() (*oauth2.Token, error) {
	config := clientcredentials.Config{
		ClientID: c.settings["client_id"], ClientSecret: c.settings["client_secret"],
		TokenURL: strings.TrimSuffix(c.settings["api_url"], "/") + "/v1/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	// A redirect would carry the credentials elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	token, err := config.Token(context.WithValue(c.ctx, oauth2.HTTPClient, &http.Client{CheckRedirect: stay}))
	if refused := new(oauth2.RetrieveError); errors.As(err, &refused) && refused.Response != nil {
		switch status := refused.Response.StatusCode; status { // and not with what
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
			err = &connectors.RefusedError{Path: "/v1/oauth2/token", Status: status}
		default:
			err = errors.New("the provider answers " + refused.Response.Status)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("getting a token: %w", err)
	}
	return token, nil
}
