package control

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"revstream/ingest/revenue"
)

const (
	urlBytesMax = 2048
	// notificationSecretMin and notificationSecretMax are the bytes of a key that Standard
	// Webhooks recommends.
	notificationSecretMin = 24
	notificationSecretMax = 64
	minimumsMax           = 50
	alertPeriodMin        = time.Minute
	alertPeriodMax        = 400 * 24 * time.Hour
)

func errOther(what string) error { return fmt.Errorf("the %s is another", what) }

func (a Alert) validate() error {
	faults := []error{validateName(a.Name), a.validateReceiver(), a.Rule.validate()}
	if len(a.Secrets) > 0 && !a.signs() {
		faults = append(faults, errors.New("secret: only webhooks are signed"))
	}
	for i, secret := range a.Secrets {
		text, prefixed := strings.CutPrefix(secret.text, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !prefixed || err != nil || len(key) < notificationSecretMin || len(key) > notificationSecretMax {
			faults = append(faults, fmt.Errorf("secret %d: whsec_ and the base64 of %d to %d bytes", i+1, notificationSecretMin, notificationSecretMax))
		}
		if slices.Contains(a.Secrets[:i], secret) {
			faults = append(faults, fmt.Errorf("secret %d is given twice", i+1))
		}
	}
	return invalid(faults...)
}

// members says which members a rule may have beside On, and which it must.
func (on AlertOn) members() (may, must []string) {
	switch on {
	case AlertMovements:
		return []string{"kinds", "minimums"}, nil
	case AlertRefunds:
		return []string{"minimums"}, nil
	case AlertRefundRate:
		return []string{"by_amount", "charges_min"}, []string{"per_mille", "period"}
	case AlertMRRDrop:
		return nil, []string{"per_mille", "period"}
	case AlertSourceSilent:
		return []string{"period", "endpoint"}, nil
	case AlertLag:
		return nil, []string{"period"}
	}
	return nil, nil
}

func (r AlertRule) validate() error {
	if !slices.Contains(AlertsOn, r.On) {
		return fmt.Errorf("on: %q is none of %v", r.On, AlertsOn)
	}
	var faults []error
	may, must := r.On.members()
	for member, given := range map[string]bool{
		"kinds": len(r.Kinds) > 0, "minimums": len(r.Minimums) > 0, "per_mille": r.PerMille != 0, "by_amount": r.ByAmount,
		"charges_min": r.ChargesMin != 0, "period": r.Period != 0, "endpoint": r.Endpoint != "",
	} {
		if given && !slices.Contains(may, member) && !slices.Contains(must, member) {
			faults = append(faults, fmt.Errorf("%s: means nothing to an alert on %s", member, r.On))
		}
		if !given && slices.Contains(must, member) {
			faults = append(faults, fmt.Errorf("%s: an alert on %s needs it", member, r.On))
		}
	}
	for i, kind := range r.Kinds {
		if !slices.Contains(AlertKinds, kind) || slices.Contains(r.Kinds[:i], kind) {
			faults = append(faults, fmt.Errorf("kinds: %q is none of %v, or there twice", kind, AlertKinds))
		}
	}
	for currency, least := range r.Minimums {
		if _, known := revenue.Exponent(currency); !known || least <= 0 {
			faults = append(faults, fmt.Errorf("minimums: %q is no currency, or %d is not positive", currency, least))
		}
	}
	switch {
	case len(r.Minimums) > minimumsMax:
		faults = append(faults, fmt.Errorf("minimums: at most %d", minimumsMax))
	case r.PerMille < 0 || r.PerMille > 1000:
		faults = append(faults, errors.New("per_mille: 1 to 1000"))
	case r.ChargesMin < 0:
		faults = append(faults, errors.New("charges_min: not negative"))
	case r.Period != 0 && (r.Period < alertPeriodMin || r.Period > alertPeriodMax):
		faults = append(faults, fmt.Errorf("period: %v to %v", alertPeriodMin, alertPeriodMax))
	case r.Endpoint != "" && !endpointIDs.MatchString(r.Endpoint):
		faults = append(faults, errors.New("endpoint: is no id of a webhook endpoint"))
	}
	return errors.Join(faults...)
}
