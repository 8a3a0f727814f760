package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// campaign is messages that were sent to people, some of whom bought.
type campaign struct {
	*scene
	at       time.Time
	messages []string
	offers   []string
	errand   errand
}

// playTrackly sends a campaign: its messages are registered, then revenue comes
// in for them, one by one or in bulk.
func (s *scene) playTrackly() {
	c := &campaign{scene: s, at: s.startBefore(10 * 24 * time.Hour)}
	c.errand.at = c.at
	c.register()
	for range s.between(3, 12) {
		if s.chance(0.4) {
			c.bulk()
		} else {
			c.single()
		}
	}
	s.errands = append(s.errands, c.errand)
}

// register tells of the messages and what they refer to.
func (c *campaign) register() {
	var contacts, offers, links, messages []members
	for range c.between(1, 3) {
		id := c.name("off")
		c.offers = append(c.offers, id, "ext-"+id)
		offers = append(offers, members{"id": id, "external_id": "ext-" + id})
		links = append(links, members{"id": "lnk-" + id, "offer_id": id})
	}
	for range c.between(5, 30) {
		contact := c.name("con")
		contacts = append(contacts, members{"id": contact})
		message := members{"id": c.messageID(), "contact_id": contact, "campaign": "campaign-" + c.id}
		switch c.IntN(3) {
		case 0:
			message["offer_id"] = pick(c.dice, c.offers...)
		case 1:
			message["short_link"] = links[0]["id"]
		}
		c.messages = append(c.messages, message["id"].(string))
		messages = append(messages, message)
	}
	body := members{"contacts": contacts, "offers": offers, "short_links": links, "messages": messages}
	c.errand.deliveries = append(c.errand.deliveries, c.request("messages", "/api/v2/messages", "", 0, body.text()))
}

// messageID is eight characters that depend on the run too: there is no room for
// the run itself.
func (c *campaign) messageID() string {
	sum := sha256.Sum256([]byte(c.name("msg")))
	return hex.EncodeToString(sum[:4])
}

// request is one to Trackly's API. A retry could count twice but for the key, as
// the contract gives records no identity.
func (c *campaign) request(label, path, key string, events int, body []byte) Delivery {
	header := withHeader("X-Api-Key", c.key)
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return Delivery{Door: DoorTrackly, Label: label, Method: http.MethodPost, Path: path, Header: header, Body: body, Events: events}
}

// sale makes up a record; nothing is booked yet.
func (c *campaign) sale() (members, int64, time.Time) {
	amount := c.amount(1, 300)
	if c.chance(0.05) {
		amount = 0
	}
	at := c.moment(c.at, c.at.Add(9*24*time.Hour))
	sale := members{
		"message_id": pick(c.dice, c.messages...), "revenue": number(plainDecimal(amount)),
		"attribution_type": pick(c.dice, "sale", "click", "send"), "timestamp": c.timestamp(at),
	}
	if c.chance(0.5) {
		sale["offer_id"] = pick(c.dice, c.offers...)
	}
	return sale, amount, at
}

// timestamp writes a moment in one of the forms in use: without a zone it is UTC.
func (c *campaign) timestamp(at time.Time) string {
	switch c.IntN(4) {
	case 0:
		return at.Format("2006-01-02T15:04:05")
	case 1:
		return at.In(time.FixedZone("", 2*60*60)).Format(time.RFC3339)
	case 2:
		return at.Format("2006-01-02T15:04:05.000Z")
	default:
		return at.Format(time.RFC3339)
	}
}

// plainDecimal leaves zeros away as programs do: 24.5, 3.
func plainDecimal(minor int64) string {
	return strings.TrimSuffix(strings.TrimRight(decimal(minor), "0"), ".")
}

func (c *campaign) single() {
	sale, amount, at := c.sale()
	if c.chance(0.05) { // a client that is at fault, and learns it
		sale["revenue"] = pick(c.dice, any(number("-1")), any("a lot"), nil)
		d := c.request("revenue, wrong", "/api/v2/revenue", "", 0, sale.text())
		d.Check = expectStatus(http.StatusBadRequest)
		c.errand.deliveries = append(c.errand.deliveries, d)
		return
	}
	c.add(flow{what: purchase, at: at, amount: amount})
	d := c.request("revenue", pick(c.dice, "/api/v2/revenue", "/v2/revenue"), c.name("key-"), 1, sale.text())
	d.Check = expectRecorded("revenue", amount)
	c.errand.deliveries = append(c.errand.deliveries, c.repeated(d)...)
}

// bulk sends many records, some of which are wrong and only those refused.
func (c *campaign) bulk() {
	var records []members
	total, good, bad := int64(0), 0, 0
	for range c.between(2, 40) {
		sale, amount, at := c.sale()
		if good > 0 && c.chance(0.05) {
			records, bad = append(records, c.spoil(sale)), bad+1
			continue
		}
		c.add(flow{what: purchase, at: at, amount: amount})
		records, good, total = append(records, sale), good+1, total+amount
	}
	body := members{"records": records, "imported": c.chance(0.3)}
	d := c.request("revenue/bulk", pick(c.dice, "/api/v2/revenue/bulk", "/v2/revenue/bulk"), c.name("key-"), good, body.text())
	recorded := expectRecorded("total_revenue", total)
	d.Check = func(a Answer) error {
		var counts struct {
			Success int               `json:"success_count"`
			Error   int               `json:"error_count"`
			Errors  []json.RawMessage `json:"errors"`
		}
		if err := json.Unmarshal(a.Body, &counts); err != nil || counts.Success != good || counts.Error != bad || len(counts.Errors) != bad {
			return fmt.Errorf("answered %d for %d good and %d bad records: %s", a.Status, good, bad, clip(a.Body))
		}
		return recorded(a)
	}
	c.errand.deliveries = append(c.errand.deliveries, c.repeated(d)...)
}

func (c *campaign) spoil(sale members) members {
	switch c.IntN(5) {
	case 0:
		delete(sale, "message_id")
	case 1:
		sale["revenue"] = number("-0.01")
	case 2:
		sale["attribution_type"] = "gift"
	case 3:
		sale["message_id"] = "nosuch" + strconv.Itoa(c.between(10, 99))
	default:
		delete(sale, "revenue")
	}
	return sale
}

// expectRecorded wants success, and the amount in the member, exactly.
func expectRecorded(member string, amount int64) func(Answer) error {
	return func(a Answer) error {
		if err := expectSuccess(a); err != nil {
			return err
		}
		var body map[string]json.RawMessage
		if err := json.Unmarshal(a.Body, &body); err != nil {
			return fmt.Errorf("answered what is not a JSON object: %s", clip(a.Body))
		}
		if got, ok := minorOf(string(body[member])); !ok || got != amount {
			return fmt.Errorf("answered %s for %s: %s", body[member], decimal(amount), clip(a.Body))
		}
		return nil
	}
}

// minorOf reads a decimal literal of at most two decimals as minor units.
func minorOf(literal string) (int64, bool) {
	whole, fraction, _ := strings.Cut(literal, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 2 {
		return 0, false
	}
	minor, err := strconv.ParseInt(whole+fraction+"00"[len(fraction):], 10, 64)
	return minor, err == nil
}
