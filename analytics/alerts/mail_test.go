package alerts

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// mailbox is a server of SMTP with STARTTLS, which takes mail of whoever logs in, or refuses.
type mailbox struct {
	t      *testing.T
	config MailConfig

	mu     sync.Mutex
	refuse error
	took   []letter
}

type letter struct{ to, id, subject, body string }

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	// A certificate for this machine, and who vouches for it.
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &mailbox{t: t, config: MailConfig{Host: "127.0.0.1", TLS: mailSTARTTLS, CAFile: authority,
		User: "revstream", Password: "open sesame", From: "Revstream <alerts@example.org>"}}
	server := smtp.NewServer(m)
	server.Domain, server.TLSConfig = "localhost", certified.TLS.Clone()
	server.TLSConfig.NextProtos = nil
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.config.Port = listener.Addr().(*net.TCPAddr).Port
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Error(err)
		}
	})
	return m
}

func (m *mailbox) refuses(with error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = with
}

// got is what was taken since it was asked last.
func (m *mailbox) got() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	took := m.took
	m.took = nil
	return took
}

// NewSession implements smtp.Backend.
func (m *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &posting{box: m, conn: c}, nil
}

// posting is a connection to the mailbox.
type posting struct {
	box   *mailbox
	conn  *smtp.Conn
	known bool
	to    string
}

func (p *posting) AuthMechanisms() []string { return []string{sasl.Plain} }

func (p *posting) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if _, secure := p.conn.TLSConnectionState(); !secure || user != p.box.config.User || password != p.box.config.Password {
			return smtp.ErrAuthFailed
		}
		p.known = true
		return nil
	}), nil
}

func (p *posting) Mail(from string, _ *smtp.MailOptions) error {
	if !p.known || !strings.Contains(p.box.config.From, "<"+from+">") {
		return smtp.ErrAuthRequired
	}
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return p.box.refuse
}

func (p *posting) Rcpt(to string, _ *smtp.RcptOptions) error {
	p.to = to
	return nil
}

func (p *posting) Data(r io.Reader) error {
	sent, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(quotedprintable.NewReader(sent.Body))
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(sent.Header.Get("Subject"))
	if err != nil {
		return err
	}
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	p.box.took = append(p.box.took, letter{p.to, sent.Header.Get("Message-Id"), subject, strings.ReplaceAll(string(body), "\r\n", "\n")})
	return nil
}

func (p *posting) Reset()        {}
func (p *posting) Logout() error { return nil }

// People are written to by mail, over STARTTLS, with the queue, the retries, the dead letters
// and the log of webhooks.
func TestMailIsSent(t *testing.T) {
	box := newMailbox(t)
	h := newHouse(t, func(c *Config) {
		c.Mail, c.AttemptsMax, c.BackoffMin, c.BackoffMax = box.config, 3, time.Second, time.Second
	})
	if err := h.config.Validate(); err != nil {
		t.Fatal(err)
	}
	a := h.alert("mailto:ops@example.org", movements)
	if len(a.Secrets) != 0 {
		t.Error("mail has a secret")
	}
	h.say(subscription("Zoë\nBcc: all", h.now, 2000))
	h.tell()
	log := h.log(a)
	got := box.got()
	if len(got) != 1 || len(log) != 1 || log[0].State != clickhouse.NotificationDelivered || log[0].Statuses[0] != statusTaken {
		t.Fatalf("took %v, the log is %+v", got, log)
	}
	if l := got[0]; l.to != "ops@example.org" || l.id != "<"+log[0].ID+"@example.org>" ||
		l.subject != "[acme] New customer of USD 20.00 MRR, Zoë Bcc: all" || !strings.Contains(l.body, "Customer: Zoë Bcc: all\n") {
		t.Errorf("%+v", l)
	}

	// Refused for now, it is tried again, as the same message.
	box.refuses(&smtp.SMTPError{Code: 451, Message: "later"})
	h.say(subscription("ann", h.now, 3000))
	h.tell()
	if log = h.log(a); len(log) != 2 || log[1].State != clickhouse.NotificationPending || log[1].Statuses[0] != 451 || log[1].Errors[0] == "" {
		t.Fatalf("refused, the log is %+v", log)
	}
	box.refuses(nil)
	h.pass(2 * time.Second)
	h.tell()
	if got = box.got(); len(got) != 1 || got[0].id != "<"+log[1].ID+"@example.org>" {
		t.Errorf("tried again: %v", got)
	}

	// Refused for ever, it is given up.
	box.refuses(&smtp.SMTPError{Code: 550, Message: "who?"})
	h.say(subscription("bob", h.now, 4000))
	for range 4 {
		h.tell()
		h.pass(2 * time.Second)
	}
	if log = h.log(a); log[2].State != clickhouse.NotificationDead || len(log[2].Statuses) != 3 {
		t.Errorf("refused for ever, the log is %+v", log[2])
	}
}

// Without a server, or without its certificate, nothing is sent, and the log says why.
func TestMailNeedsAServer(t *testing.T) {
	box := newMailbox(t)
	box.config.CAFile = ""
	for what, mail := range map[string]MailConfig{"not set": {}, "certificate": box.config} {
		n := &Notifier{config: DefaultConfig()}
		n.config.Mail, n.Now = mail, time.Now
		if result := n.mail(within(t), "ops@example.org", "ntf_1", message{"a", "b"}); result.err == nil || !strings.Contains(result.err.Error(), what) {
			t.Errorf("%s: %+v", what, result)
		}
	}
	for what, mail := range map[string]MailConfig{
		"from":                 {Host: "mail.example.org", Port: 25, TLS: mailTLS},
		"port":                 {Host: "mail.example.org", TLS: mailTLS, From: "a@example.org"},
		"not starttls":         {Host: "mail.example.org", Port: 25, TLS: "perhaps", From: "a@example.org"},
		"on this machine":      {Host: "mail.example.org", Port: 25, TLS: mailPlain, From: "a@example.org"},
		"password go together": {Host: "mail.example.org", Port: 25, TLS: mailTLS, From: "a@example.org", User: "a"},
	} {
		if err := mail.validate(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A channel of Slack gets texts, and is spared when it asks for that.
func TestSlackIsTold(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	r.url = strings.Replace(r.url, "http://", "slack+http://", 1)
	a := h.alert(r.url, refunds)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	h.say(charge("p1", h.now.Add(-time.Hour), 5000), refundOf("p1", "r1", h.now, 1234, func(e *revenue.Event) { e.Customer = "<!here> & co" }))
	h.tell()
	r.got()
	r.answers(func(http.ResponseWriter, *http.Request) {})
	h.pass(10 * time.Second)
	h.tell()
	r.none("it asked for half a minute")
	h.pass(30 * time.Second)
	h.tell()
	got := r.got()
	if len(got) != 1 || got[0].header.Get("webhook-signature") != "" {
		t.Fatalf("arrived %v", texts(got))
	}
	var said struct{ Text string }
	if err := json.Unmarshal([]byte(got[0].text), &said); err != nil || !strings.HasPrefix(said.Text, "*[acme] Refund of USD 12.34, &lt;!here&gt; &amp; co*\nWhen: ") {
		t.Errorf("%v %q", err, said.Text)
	}
	if log := h.log(a); len(log) != 1 || log[0].State != clickhouse.NotificationDelivered || len(log[0].Statuses) != 2 {
		t.Errorf("the log is %+v", log)
	}
}

// What people read, by type.
func TestMessagesAreReadable(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"movement.churn","data":{"workspace":"acme","kind":"churn","mrrCents":-2900,"currency":"USD","customer":"ann","reason":"delinquent"}}`:                                               "Churn of USD -29.00 MRR, ann",
		`{"type":"movement.corrected","data":{"workspace":"acme","kind":"new","mrrCents":900,"currency":"JPY","customer":"ann","previous":{"id":"x","mrrCents":800}}}`:                                "Corrected: new customer is JPY 900 MRR, was JPY 800 MRR, ann",
		`{"type":"movement.retracted","data":{"workspace":"acme","kind":"expansion","currency":"USD","objectId":"sub_1","previous":{"id":"x","mrrCents":800}}}`:                                       "Taken back: expansion of USD 8.00 MRR, sub_1",
		`{"type":"refund.made","data":{"workspace":"acme","kind":"refund","refundCents":500,"currency":"EUR","customer":"bob"}}`:                                                                      "Refund of EUR 5.00, bob",
		`{"type":"refund_rate.raised","data":{"workspace":"acme","on":"refund_rate","raised":true,"value":62,"threshold":50,"unit":"per_mille","currency":"USD","refundCents":100,"grossCents":900}}`: "Refund rate is 6.2 %, above 5.0 %",
		`{"type":"mrr_drop.cleared","data":{"workspace":"acme","on":"mrr_drop","value":31,"threshold":50,"unit":"per_mille","currency":"USD"}}`:                                                       "MRR drop is over: down by 3.1 %, threshold 5.0 %",
		`{"type":"source_silent.raised","data":{"workspace":"acme","on":"source_silent","raised":true,"value":12000,"threshold":50,"unit":"seconds","endpoint":"we_1","provider":"stripe"}}`:          "Nothing from stripe (we_1) for 3h20m0s",
		`{"type":"lag.raised","data":{"workspace":"acme","on":"lag","raised":true,"value":720,"threshold":600,"unit":"seconds"}}`:                                                                     "Answers are 12m0s behind, threshold 10m0s",
		`{"type":"test","data":{"workspace":"acme","message":"x"}}`: "Test: nothing has happened",
	} {
		if got, err := readable(text); err != nil || got.subject != "[acme] "+want {
			t.Errorf("%v %q, want %q", err, got.subject, want)
		}
	}
	for _, on := range control.AlertsOn[2:] {
		for _, raised := range []bool{true, false} {
			if said := thresholdMessage(&thresholdData{On: string(on), Raised: raised}); said.subject == "" {
				t.Errorf("nothing is said of %s", on)
			}
		}
	}
}
