package stripe

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"revstream/connectors"
)

// Policies for what was paid outside Stripe (a bank transfer that the merchant
// marked as received).
const (
	// OffStripeCount counts it like any payment, with payment method off_stripe.
	OffStripeCount = "count"
	// OffStripeExclude leaves it out, so that cash is what Stripe settled.
	OffStripeExclude = "exclude"
)

// Sources of one-time sales. One must be chosen: both at once count a sale twice
// whenever Stripe does not say which invoice a payment was for.
const (
	// OneTimePaymentIntents counts each payment that no invoice accounts for. From
	// API version 2025-03-31.basil on it needs the endpoint to receive
	// invoice_payment.paid, the only event that names both.
	OneTimePaymentIntents = "payment_intents"
	// OneTimeCheckoutSessions counts paid Checkout sessions without an invoice, and
	// no other payment. It needs no link between payments and invoices.
	OneTimeCheckoutSessions = "checkout_sessions"
)

// Policies for discounts in MRR.
const (
	// DiscountsForever takes off those that last as long as the subscription, as
	// Stripe's own MRR does; those for once or for some months are no part of it.
	DiscountsForever = "forever"
	// DiscountsNone takes off none: MRR at list prices.
	DiscountsNone = "none"
)

// Bounds of Config.SignatureAgeMax. Stripe's own libraries use five minutes.
const (
	signatureAgeLeast = time.Second
	signatureAgeMost  = time.Hour
)

// Config holds what may be chosen about reading Stripe.
type Config struct {
	// SignatureAgeMax is how far the signature's timestamp may lie from the moment
	// that the delivery was accepted, in either direction. Between 1s and 1h.
	SignatureAgeMax time.Duration `koanf:"signature_age_max"`
	// OffStripe is OffStripeCount or OffStripeExclude.
	OffStripe string `koanf:"off_stripe"`
	// OneTimeSource is OneTimePaymentIntents or OneTimeCheckoutSessions.
	OneTimeSource string `koanf:"one_time_source"`
	// PausedDraftsCount makes a subscription whose collection is paused with
	// behaviour keep_as_draft (its invoices are collected later) count in MRR.
	PausedDraftsCount bool `koanf:"paused_drafts_count"`
	// Discounts is DiscountsForever or DiscountsNone.
	Discounts string `koanf:"discounts"`
}

// DefaultConfig counts every payment, one-time ones by payment intent, and the
// MRR of paused subscriptions that will be billed later.
func DefaultConfig() Config {
	return Config{
		SignatureAgeMax:   5 * time.Minute,
		OffStripe:         OffStripeCount,
		OneTimeSource:     OneTimePaymentIntents,
		PausedDraftsCount: true,
		Discounts:         DiscountsForever,
	}
}

// Validate reports every setting that is out of range.
func (c Config) Validate() error {
	var errs []error
	if c.SignatureAgeMax < signatureAgeLeast || c.SignatureAgeMax > signatureAgeMost {
		errs = append(errs, fmt.Errorf("signature_age_max %v: must lie between %v and %v", c.SignatureAgeMax, signatureAgeLeast, signatureAgeMost))
	}
	if c.OffStripe != OffStripeCount && c.OffStripe != OffStripeExclude {
		errs = append(errs, fmt.Errorf("off_stripe %q: must be %s or %s", c.OffStripe, OffStripeCount, OffStripeExclude))
	}
	if c.OneTimeSource != OneTimePaymentIntents && c.OneTimeSource != OneTimeCheckoutSessions {
		errs = append(errs, fmt.Errorf("one_time_source %q: must be %s or %s", c.OneTimeSource, OneTimePaymentIntents, OneTimeCheckoutSessions))
	}
	if c.Discounts != DiscountsForever && c.Discounts != DiscountsNone {
		errs = append(errs, fmt.Errorf("discounts %q: must be %s or %s", c.Discounts, DiscountsForever, DiscountsNone))
	}
	return errors.Join(errs...)
}

// settings are what an endpoint may say otherwise than the configuration, under
// the same names.
func (c Config) settings() []connectors.Setting {
	return []connectors.Setting{
		{Name: "signature_age_max", Default: c.SignatureAgeMax.String(), Check: connectors.Between(signatureAgeLeast, signatureAgeMost),
			About: "How far the signature's time may lie from that of acceptance, either way."},
		{Name: "off_stripe", Default: c.OffStripe, Check: connectors.OneOf(OffStripeCount, OffStripeExclude),
			About: "Whether what was paid outside Stripe counts."},
		{Name: "one_time_source", Default: c.OneTimeSource, Check: connectors.OneOf(OneTimePaymentIntents, OneTimeCheckoutSessions),
			About: "What counts one-time sales."},
		{Name: "paused_drafts_count", Default: strconv.FormatBool(c.PausedDraftsCount), Check: connectors.IsFlag,
			About: "Whether a paused subscription that is collected later counts in MRR."},
		{Name: "discounts", Default: c.Discounts, Check: connectors.OneOf(DiscountsForever, DiscountsNone),
			About: "Which discounts MRR is after."},
		{Name: "api_key", Secret: true,
			About: "A restricted key that may read invoices, prices, tax rates, subscriptions, charges and balance transactions. With it, what events leave out is looked up."},
		{Name: "api_url", Default: "https://api.stripe.com", Outbound: true, Check: connectors.IsBaseURL, About: "Where Stripe's API is."},
	}
}

// with is the configuration as an endpoint has it.
func (c Config) with(settings connectors.Settings) Config {
	if len(settings) == 0 {
		return c
	}
	return Config{
		SignatureAgeMax:   settings.Duration("signature_age_max"),
		OffStripe:         settings["off_stripe"],
		OneTimeSource:     settings["one_time_source"],
		PausedDraftsCount: settings.Flag("paused_drafts_count"),
		Discounts:         settings["discounts"],
	}
}
