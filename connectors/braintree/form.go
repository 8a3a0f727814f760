package braintree

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what Braintree signs with; HMAC does not rest on collisions
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strings"

	"revstream/connectors"
)

// signer is how Braintree signs: HMAC-SHA1 in hexadecimal, with the SHA-1 of the
// private key as key.
var signer = connectors.HMAC{Hash: sha1.New, Key: func(private string) ([]byte, error) {
	key := sha1.Sum([]byte(private)) //nolint:gosec // see above
	return key[:], nil
}}

// form is the body of a webhook: signature pairs "public key|signature", joined by
// "&", and the notification in base64 with line breaks.
type form struct{ signature, payload string }

// readForm reads a body. The error is a *connectors.InvalidError.
func readForm(body []byte) (form, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, &connectors.InvalidError{Code: "invalid_form", Detail: "The body is not a form."}
	}
	// base64 has no spaces: one is a plus that was not escaped.
	return form{values.Get("bt_signature"), strings.ReplaceAll(values.Get("bt_payload"), " ", "+")}, nil
}

// verify checks the pair that names the public key of a secret. Signed is the
// payload as text; Braintree's libraries take it with and without a last line break.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	form, err := readForm(delivery.Body)
	switch {
	case err != nil:
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonUnreadable, "the body is not a form")
	case form.signature == "" || form.payload == "":
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no bt_signature, or no bt_payload")
	case !strings.Contains(form.signature, "|"):
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonUnreadable, "the bt_signature has no public key")
	}
	return connectors.EachSecret(delivery.Secrets, func(secret string) bool {
		keys, err := keysOf(secret)
		return err == nil && form.signedBy(keys)
	})
}

func (f form) signedBy(keys keys) bool {
	for pair := range strings.SplitSeq(f.signature, "&") {
		public, signature, _ := strings.Cut(pair, "|")
		if public != keys.public {
			continue
		}
		for _, payload := range []string{f.payload, f.payload + "\n"} {
			if _, err := signer.Verify([]string{keys.private}, []string{signature}, []byte(payload)); err == nil {
				return true
			}
		}
	}
	return false
}

// notification reads the payload. The error is a *connectors.InvalidError.
func (f form) notification() (connectors.Object, error) {
	text, err := base64.StdEncoding.DecodeString(f.payload)
	if err != nil {
		return nil, &connectors.InvalidError{Field: "bt_payload", Code: "invalid_bt_payload", Detail: "is not in base64"}
	}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, unreadable("There is no XML element.")
		}
		if start, is := token.(xml.StartElement); is {
			value, err := readElement(decoder, start, 1)
			if err != nil {
				return nil, err
			}
			if object, is := value.(map[string]any); is && start.Name.Local == "notification" {
				return object, nil
			}
			return nil, unreadable("The XML is no notification.")
		}
	}
}

// elementDepthMax is how deep elements may lie in each other; Braintree's lie seven
// deep.
const elementDepthMax = 32

// readElement reads an element as the JSON value that it stands for. Its attributes
// say what that is; names are written with dashes or underscores.
func readElement(decoder *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > elementDepthMax {
		return nil, unreadable("The XML is nested too deeply.")
	}
	members, elements := map[string]any{}, []any{}
	var text strings.Builder
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, unreadable("The XML cannot be read.")
		}
		switch token := token.(type) {
		case xml.StartElement:
			value, err := readElement(decoder, token, depth+1)
			if err != nil {
				return nil, err
			}
			elements = append(elements, value)
			members[strings.ReplaceAll(token.Name.Local, "-", "_")] = value
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			return valueOf(attribute(start, "type"), members, elements, strings.TrimSpace(text.String())), nil
		}
	}
}

func valueOf(kind string, members map[string]any, elements []any, text string) any {
	switch {
	case kind == "array":
		return elements
	case len(members) > 0:
		return members
	case text == "":
		return nil // with nil="true" or without
	case kind == "boolean":
		return text == "true"
	case kind == "integer" && json.Valid([]byte(text)):
		return json.Number(text)
	default:
		return text
	}
}

func attribute(start xml.StartElement, name string) string {
	for _, attribute := range start.Attr {
		if attribute.Name.Local == name {
			return attribute.Value
		}
	}
	return ""
}

func unreadable(detail string) error {
	return &connectors.InvalidError{Code: "invalid_xml", Detail: detail}
}
