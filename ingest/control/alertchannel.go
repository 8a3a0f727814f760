package control

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Channel is how the receiver of an alert is told.
type Channel string

// The channels. Each has URLs of its own.
const (
	// ChannelWebhook posts signed JSON to https://…
	ChannelWebhook Channel = "webhook"
	// ChannelMail writes to mailto:address.
	ChannelMail Channel = "mail"
	// ChannelSlack posts a text to slack+https://…, the URL of an incoming webhook of Slack,
	// or of what takes the same.
	ChannelSlack Channel = "slack"
)

const (
	mailScheme  = "mailto:"
	slackPrefix = "slack+"
)

// Channel is how the receiver is told, and Address where: a URL, or an address of mail.
func (a Alert) Channel() (channel Channel, address string) {
	if address, is := strings.CutPrefix(a.URL, mailScheme); is {
		return ChannelMail, address
	}
	if address, is := strings.CutPrefix(a.URL, slackPrefix); is {
		return ChannelSlack, address
	}
	return ChannelWebhook, a.URL
}

// signs reports whether notifications carry signatures: people check none.
func (a Alert) signs() bool {
	channel, _ := a.Channel()
	return channel == ChannelWebhook
}

// validateReceiver wants TLS, except on the machine itself, where notifications go only
// if the operator allows it; or one plain address of mail.
func (a Alert) validateReceiver() error {
	channel, address := a.Channel()
	if len(a.URL) > urlBytesMax || !utf8.ValidString(a.URL) {
		return fmt.Errorf("url: longer than %d bytes, or no text", urlBytesMax)
	}
	if channel == ChannelMail {
		if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address || strings.ContainsAny(address, "?%") {
			return errors.New("url: mailto: and one address")
		}
		return nil
	}
	receiver, err := url.Parse(address)
	switch {
	case err != nil || receiver.Hostname() == "" || receiver.User != nil || receiver.Fragment != "":
		return errors.New("url: https://host/path without user and fragment, mailto:address, or slack+ and such a URL")
	case receiver.Scheme == "https", receiver.Scheme == "http" && isLoopback(receiver.Hostname()):
		return nil
	}
	return errors.New("url: must begin with https://, mailto: or slack+https://")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// host is what of the receiver's address may be shown: paths and parameters are often
// secret.
func (a Alert) host() string {
	channel, address := a.Channel()
	if channel == ChannelMail {
		return address[strings.LastIndexByte(address, '@')+1:]
	}
	receiver, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return receiver.Host
}
