package generic

import (
	"crypto/sha1" //nolint:gosec // some senders sign with it, and HMAC-SHA1 is not broken
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strings"

	"revstream/connectors"
)

// The schemes: how a sender shows that it knows the secret.
const (
	schemeStandard = "standard_webhooks"
	schemeHMAC     = "hmac"
	schemeBasic    = "basic"
	schemeHeader   = "header"
)

var hashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func signatureSettings() []connectors.Setting {
	return []connectors.Setting{
		{
			Name: "scheme", Default: schemeStandard, Check: connectors.OneOf(schemeStandard, schemeHMAC, schemeBasic, schemeHeader),
			About: "How the sender shows that it knows the secret: by Standard Webhooks, an HMAC as the settings below describe, Basic authorization (the secret is user:password), or the secret itself in signature_header.",
		},
		{
			Name: "signature_header", Default: "X-Signature", Check: checkHeader,
			About: "The header that has the signature.",
		},
		{
			Name: "signature_pattern", Default: `^\s*(.+?)\s*$`, Check: checkPattern,
			About: `What in the header is a signature: a regular expression with one group, like v1=([0-9a-f]+). All that it finds are tried.`,
		},
		{
			Name: "time_header", Check: checkHeader,
			About: "The header that has the time of signing, if not that of the signature.",
		},
		{
			Name: "time_pattern", Check: checkPattern,
			About: `What in the header is the time of signing, in Unix seconds or milliseconds: a regular expression with one group, like t=(\d+). Empty: no time is signed, unless time_header is set.`,
		},
		{
			Name: "id_header", Check: checkHeader,
			About: "The header that has the delivery's id, if it is signed.",
		},
		{
			Name: "signed", Default: "{body}", Check: checkTemplate,
			About: "What is signed: text with {body} once, and {time} and {id} where they are.",
		},
		{
			Name: "hash", Default: "sha256", Check: connectors.OneOf("sha1", "sha256", "sha512"),
			About: "The hash of the HMAC.",
		},
		{
			Name: "key_prefix", About: "What the secret begins with that is no part of the key.",
		},
		{
			Name: "key_encoding", Check: connectors.OneOf("text", "hex", "base64"),
			About: "What the secret is: the key itself (text), or the key in hex or base64. The default is base64 for Standard Webhooks, and text otherwise.",
		},
		{
			Name: "signature_encoding", Default: "hex", Check: connectors.OneOf("hex", "base64"),
			About: "What signatures are written in.",
		},
		connectors.SignatureAgeMax(),
	}
}

func checkHeader(name string) error {
	if !regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`).MatchString(name) {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	return nil
}

func checkPattern(pattern string) error {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("%q is no regular expression: %w", pattern, err)
	}
	if compiled.NumSubexp() != 1 {
		return fmt.Errorf("%q must have one group, and has %d", pattern, compiled.NumSubexp())
	}
	return nil
}

func checkTemplate(template string) error {
	if strings.Count(template, "{body}") != 1 {
		return fmt.Errorf("%q must have {body} once", template)
	}
	return nil
}

// verify checks a delivery by the endpoint's scheme.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	settings := delivery.Settings
	switch settings["scheme"] {
	case schemeBasic:
		return connectors.BasicAuth(delivery)
	case schemeHeader:
		return verifyHeader(delivery)
	case schemeHMAC:
		return verifyHMAC(delivery)
	default:
		standard := connectors.StandardWebhooks{}
		if settings["key_encoding"] != "" || settings["key_prefix"] != "" {
			standard.Key = keyOf(settings, "base64")
		}
		return standard.Verify(delivery)
	}
}

func verifyHeader(delivery connectors.Delivery) (connectors.Verification, error) {
	given := delivery.Header.Get(delivery.Settings["signature_header"])
	if given == "" {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no %s header", delivery.Settings["signature_header"])
	}
	return connectors.EachSecret(delivery.Secrets, func(secret string) bool { return connectors.SameText(given, secret) })
}

// verifyHMAC puts together what was signed, and tries every signature. A template
// without the time is signed for ever: its deliveries can be replayed, and say the
// same again.
func verifyHMAC(delivery connectors.Delivery) (connectors.Verification, error) {
	settings := delivery.Settings
	header := strings.Join(delivery.Header.Values(settings["signature_header"]), ",")
	signatures := found(settings["signature_pattern"], header)
	if len(signatures) == 0 {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no %s header with a signature", settings["signature_header"])
	}
	before, after, _ := strings.Cut(settings["signed"], "{body}")
	if strings.Contains(before+after, "{time}") {
		signedAt, err := fresh(delivery, header)
		if err != nil {
			return connectors.Verification{}, err
		}
		before, after = strings.ReplaceAll(before, "{time}", signedAt), strings.ReplaceAll(after, "{time}", signedAt)
	}
	if strings.Contains(before+after, "{id}") {
		id := delivery.Header.Get(settings["id_header"])
		if id == "" {
			return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no %s header with an id", settings["id_header"])
		}
		before, after = strings.ReplaceAll(before, "{id}", id), strings.ReplaceAll(after, "{id}", id)
	}
	scheme := connectors.HMAC{
		Hash: hashes[settings["hash"]], Key: keyOf(settings, "text"), Base64: settings["signature_encoding"] == "base64",
	}
	return scheme.Verify(delivery.Secrets, signatures, []byte(before), delivery.Body, []byte(after))
}

// fresh reads the time of signing, which must not lie too far from now.
func fresh(delivery connectors.Delivery, signatureHeader string) (string, error) {
	settings := delivery.Settings
	header, pattern := signatureHeader, settings["time_pattern"]
	if settings["time_header"] != "" {
		header = delivery.Header.Get(settings["time_header"])
	}
	if pattern == "" {
		pattern = `^\s*(\d+)\s*$`
	}
	times := found(pattern, header)
	if len(times) == 0 {
		return "", connectors.Refuse(connectors.ReasonUnreadable, "the time of signing is not there")
	}
	at, err := connectors.SignedAt(times[0])
	if err != nil {
		return "", err
	}
	return times[0], connectors.Fresh(at, delivery.ReceivedAt, settings.Duration("signature_age_max"))
}

// found are the groups of all matches.
func found(pattern, text string) []string {
	compiled, err := regexp.Compile(pattern)
	if err != nil || compiled.NumSubexp() != 1 {
		return nil // Settle has checked it
	}
	var groups []string
	for _, match := range compiled.FindAllStringSubmatch(text, -1) {
		groups = append(groups, match[1])
	}
	return groups
}

// keyOf makes the key of a secret.
func keyOf(settings connectors.Settings, otherwise string) func(string) ([]byte, error) {
	return func(secret string) ([]byte, error) {
		text := strings.TrimPrefix(secret, settings["key_prefix"])
		encoding := settings["key_encoding"]
		if encoding == "" {
			encoding = otherwise
		}
		key, err := []byte(text), error(nil)
		switch encoding {
		case "hex":
			key, err = hex.DecodeString(text)
		case "base64":
			key, err = base64.StdEncoding.DecodeString(text)
		}
		if err == nil && len(key) == 0 {
			err = fmt.Errorf("the key is empty")
		}
		return key, err
	}
}
