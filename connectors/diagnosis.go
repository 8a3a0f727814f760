package connectors

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// Diagnose looks for why a delivery leads to another signature than it carries. A
// signature says only that it is another, but two causes show: the sender signed with a
// secret that is known here as another one, or by its outward form; and what reached us
// is a body of the same content as was signed, written otherwise, as proxies, log
// shippers and web frameworks do. The error is the more exact one, or the cause.
func (c Connector) Diagnose(delivery Delivery, otherSecrets []string, cause error) error {
	if ReasonOf(cause) != ReasonMismatch {
		return cause
	}
	verifies := func(changed Delivery) bool {
		_, err := c.verify(changed)
		return err == nil
	}
	for _, variant := range variantsOf(delivery.Body) {
		changed := delivery
		changed.Body, changed.Wire = variant.body, nil
		if verifies(changed) {
			return errors.Join(Refuse(ReasonBodyAltered, "the body was altered on its way: it verifies %s", variant.how), cause)
		}
	}
	for _, secret := range delivery.Secrets {
		for _, variant := range spellings(secret) {
			changed := delivery
			changed.Secrets = []string{variant.secret}
			if verifies(changed) {
				return errors.Join(Refuse(ReasonWrongSecret, "the secret is not spelt as the sender has it: it verifies %s", variant.how), cause)
			}
		}
	}
	changed := delivery
	changed.Secrets = otherSecrets
	if len(otherSecrets) > 0 && verifies(changed) {
		return errors.Join(Refuse(ReasonWrongSecret, "the secret is that of another endpoint of the workspace"), cause)
	}
	return cause
}

type bodyVariant struct {
	how  string
	body []byte
}

// variantsOf are other ways of writing a body that it may have been signed in.
func variantsOf(body []byte) []bodyVariant {
	list := []bodyVariant{
		{"without the white space around it", bytes.TrimSpace(body)},
		{"with a line end after it", append(bytes.Clone(body), '\n')},
		{"with line ends of one byte", bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))},
		{"with line ends of two bytes", bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))},
		{"without a byte order mark", bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))},
	}
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		list = append(list, bodyVariant{"as JSON without white space", compact.Bytes()})
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, compact.Bytes())
		list = append(list, bodyVariant{"as JSON with <, > and & escaped", escaped.Bytes()})
		for how, indent := range map[string]string{"as JSON indented by two": "  ", "as JSON indented by four": "    "} {
			var indented bytes.Buffer
			if json.Indent(&indented, compact.Bytes(), "", indent) == nil {
				list = append(list, bodyVariant{how, indented.Bytes()})
			}
		}
		slashes := bytes.ReplaceAll(compact.Bytes(), []byte(`\/`), []byte("/"))
		list = append(list,
			bodyVariant{"as JSON with slashes as they are", slashes},
			bodyVariant{"as JSON with slashes escaped", bytes.ReplaceAll(slashes, []byte("/"), []byte(`\/`))})
	}
	return list
}

type spelling struct{ how, secret string }

// spellings are other forms of a secret that somebody may have meant.
func spellings(secret string) []spelling {
	list := []spelling{{"with the secret without the white space around it", strings.TrimSpace(secret)}}
	if bare, found := strings.CutPrefix(secret, "whsec_"); found {
		list = append(list, spelling{"with the secret without whsec_", bare})
	} else {
		list = append(list, spelling{"with whsec_ before the secret", "whsec_" + secret})
	}
	if decoded, err := base64.StdEncoding.DecodeString(secret); err == nil && len(decoded) > 0 {
		list = append(list, spelling{"with the secret decoded from base64", string(decoded)})
	}
	return append(list, spelling{"with the secret encoded in base64", base64.StdEncoding.EncodeToString([]byte(secret))})
}
