package adyen

import (
	"slices"
	"strings"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Ranks, the versions of statements: webhooks may come in any order, and what undoes
// stands.
const (
	rankDone = iota + 1
	rankUndone
)

// authorisation is money where the account captures by itself, and where the method
// leaves nothing to capture; otherwise its captures are.
func (i *item) authorisation() {
	if i.byHand() && !i.capturedAtOnce() {
		return
	}
	i.charge(i.RequiredID(i.data, "pspReference"), revenue.StatusSettled)
}

func (i *item) byHand() bool { return i.Delivery.Settings["capture"] == captureManual }

// capturedAtOnce says that an authorisation is money at a merchant who captures by
// hand: of what can be done with it, which it lists, capturing is none.
func (i *item) capturedAtOnce() bool {
	operations, _ := i.data.Value("operations").([]any)
	return len(operations) > 0 && !slices.Contains(operations, any("CAPTURE"))
}

// capture is money where it is done by hand: each of what may be several.
func (i *item) capture() {
	if i.byHand() {
		i.charge(i.RequiredID(i.data, "pspReference"), revenue.StatusSettled)
	}
}

// captureFailed takes back the capture that the scheme refused; where the account
// captures by itself that is all of the payment.
func (i *item) captureFailed() {
	if i.byHand() {
		i.charge(i.RequiredID(i.data, "pspReference"), revenue.StatusFailed)
		return
	}
	i.charge(i.RequiredID(i.data, "originalReference"), revenue.StatusFailed)
}

// cancellation takes back an authorisation before it was captured. What is captured
// by hand has brought in nothing by then.
func (i *item) cancellation() {
	if !i.byHand() {
		i.charge(i.RequiredID(i.data, "originalReference"), revenue.StatusFailed)
	}
}

func (i *item) cancelOrRefund() {
	switch action := i.additional("modification.action"); action {
	case "refund":
		i.refund()
	case "cancel":
		i.cancellation()
	default:
		i.Invalid("additionalData.modification.action", "%q is neither refund nor cancel", action)
	}
}

// charge states what a payment or capture brought in, or that it did not.
func (i *item) charge(id string, status revenue.Status) {
	e := i.cash(revenue.KindCharge, id, rankDone)
	if e.Status = status; status == revenue.StatusFailed {
		e.Version = rankUndone
	}
	e.Payment = i.payment()
	e.Recurring = i.additional("recurringProcessingModel") == "Subscription"
	if !e.Recurring {
		e.Billing = revenue.BillingOneTime
	} else if i.additional("shopperInteraction") == "ContAuth" {
		e.Billing = revenue.BillingRenewal
	}
	i.emit(e)
}

// refund has passed Adyen's checks and is on its way; one that is refused later
// comes as a failure of the same pspReference.
func (i *item) refund() { i.reversal(revenue.KindRefund, "", rankDone) }

func (i *item) refundFailed() { i.reversal(revenue.KindRefund, "", rankUndone) }

func (i *item) chargeback() { i.reversal(revenue.KindDispute, "", rankDone) }

func (i *item) chargebackReversed() { i.reversal(revenue.KindDisputeReversal, "", rankDone) }

// secondChargeback takes back what was reversed. All items of a dispute have one
// pspReference.
func (i *item) secondChargeback() { i.reversal(revenue.KindDispute, "#second", rankDone) }

// reversal states money that left or came back; the suffix tells the stages of a
// dispute apart.
func (i *item) reversal(kind revenue.Kind, suffix string, rank int64) {
	e := i.cash(kind, i.RequiredID(i.data, "pspReference")+suffix, rank)
	if rank == rankUndone {
		e.Status = revenue.StatusFailed
	}
	e.Original = i.payment()
	e.Reason = i.data.Text("reason")
	i.emit(e)
}

// payment is whose group an item belongs to: its own or the one that it modifies.
// Disputes of accounts that do not have both references name the payment by the
// pspReference.
func (i *item) payment() string { return i.data.ID("originalReference", "pspReference") }

func (i *item) cash(kind revenue.Kind, id string, version int64) revenue.Event {
	e := i.Statement(kind, id, i.payment(), i.RequiredTime(i.data, "eventDate"))
	e.Version = version
	e.Currency = i.Currency(i.data, "amount.currency")
	e.Amount = i.Minor(i.data, e.Currency, "amount.value")
	e.PaymentMethod = i.data.Text("paymentMethod")
	e.Customer = i.additional("shopperReference", "tokenization.shopperReference", "recurring.shopperReference")
	if country := i.additional("shopperCountry"); len(country) == len("NL") {
		e.Country = strings.ToUpper(country)
	}
	if reference := i.data.Text("merchantReference"); reference != "" {
		e.ExternalID = reference
	}
	connectors.Note(&e.Dimensions, connectors.Object{"metadata": map[string]any(i.metadata())}, "metadata")
	return e
}

// emit leaves out what is worth nothing, a card that was merely checked; but what
// undoes may well name no amount.
func (i *item) emit(e revenue.Event) {
	if e.Amount != 0 || e.Status == revenue.StatusFailed {
		i.Emit(e)
	}
}

// additional is a member of additionalData, whose names have dots in them.
func (i *item) additional(names ...string) string {
	additional := i.data.Child("additionalData")
	for _, name := range names {
		if text := (connectors.Object{"value": additional[name]}).Text("value"); text != "" {
			return text
		}
	}
	return ""
}

// metadata is the shop's own: the members of additionalData that begin so.
func (i *item) metadata() connectors.Object {
	own := connectors.Object{}
	for name, value := range i.data.Child("additionalData") {
		if key, is := strings.CutPrefix(name, "metadata."); is {
			own[key] = value
		}
	}
	return own
}
