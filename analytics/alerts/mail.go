package alerts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strings"

	"github.com/wneessen/go-mail"
)

// MailConfig is the server that takes our mail (SMTP).
type MailConfig struct {
	Host string `koanf:"host"`
	Port int    `koanf:"port"`
	// TLS is starttls, tls (from the first byte) or none, which is for this machine only.
	TLS string `koanf:"tls"`
	// CAFile has the certificates that the server's is checked against, PEM; those of the
	// system if it is empty.
	CAFile string `koanf:"ca_file"`
	// User and Password log in, if there is a user.
	User     string `koanf:"user"`
	Password string `koanf:"password"`
	// From is the address that mail comes from.
	From string `koanf:"from"`
}

const (
	mailSTARTTLS = "starttls"
	mailTLS      = "tls"
	mailPlain    = "none"
)

func (c MailConfig) validate() error {
	if c.Host == "" {
		return nil
	}
	var faults []error
	if _, err := netmail.ParseAddress(c.From); err != nil {
		faults = append(faults, fmt.Errorf("alerts.mail.from %q is no address", c.From))
	}
	if c.Port < 1 || c.Port > 65535 {
		faults = append(faults, fmt.Errorf("alerts.mail.port %d is not within 1 and 65535", c.Port))
	}
	if !slices.Contains([]string{mailSTARTTLS, mailTLS, mailPlain}, c.TLS) {
		faults = append(faults, fmt.Errorf("alerts.mail.tls %q is not starttls, tls or none", c.TLS))
	}
	if ip := net.ParseIP(c.Host); c.TLS == mailPlain && c.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		faults = append(faults, errors.New("alerts.mail.tls none is for a server on this machine"))
	}
	if (c.User == "") != (c.Password == "") {
		faults = append(faults, errors.New("alerts.mail.user and password go together"))
	}
	return errors.Join(faults...)
}

var errNoMail = errors.New("alerts.mail.host is not set: there is nobody to take mail")

// statusTaken is SMTP's for what was taken.
const statusTaken = 250

// mail writes to an address once. The id of the notification is in that of the message, so
// that who gets it twice can see it.
func (n *Notifier) mail(ctx context.Context, to, id string, text message) outcome {
	config := n.config.Mail
	if config.Host == "" {
		return outcome{err: errNoMail}
	}
	letter := mail.NewMsg()
	from, err := netmail.ParseAddress(config.From)
	if err := errors.Join(err, letter.From(config.From), letter.To(to)); err != nil {
		return outcome{err: fmt.Errorf("addressing mail: %w", err)}
	}
	letter.Subject(text.subject)
	letter.SetMessageIDWithValue(id + "@" + from.Address[strings.LastIndexByte(from.Address, '@')+1:])
	letter.SetDateWithValue(n.now())
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetBodyString(mail.TypeTextPlain, text.body)
	client, err := newMailClient(n.config)
	if err != nil {
		return outcome{err: err}
	}
	if err := client.DialAndSendWithContext(ctx, letter); err != nil {
		var refused *mail.SendError
		if errors.As(err, &refused) && refused.ErrorCode() > 0 {
			return outcome{status: uint16(refused.ErrorCode()), err: err}
		}
		return outcome{err: err}
	}
	return outcome{status: statusTaken}
}

func newMailClient(config Config) (*mail.Client, error) {
	secured := &tls.Config{ServerName: config.Mail.Host, MinVersion: tls.VersionTLS12}
	if config.Mail.CAFile != "" {
		text, err := os.ReadFile(config.Mail.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading alerts.mail.ca_file: %w", err)
		}
		secured.RootCAs = x509.NewCertPool()
		if !secured.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("alerts.mail.ca_file has no certificate")
		}
	}
	options := []mail.Option{mail.WithPort(config.Mail.Port), mail.WithTimeout(config.AttemptTimeout), mail.WithTLSConfig(secured)}
	switch config.Mail.TLS {
	case mailSTARTTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case mailTLS:
		options = append(options, mail.WithSSL())
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if config.Mail.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(config.Mail.User), mail.WithPassword(config.Mail.Password))
	}
	client, err := mail.NewClient(config.Mail.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing mail: %w", err)
	}
	return client, nil
}
