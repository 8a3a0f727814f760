package control

import "fmt"

const redacted = "[redacted]"

// Secret is a text that does not print: every way of formatting or marshalling it
// gives "[redacted]". Reveal gives the text.
type Secret struct{ text string }

// NewSecret makes a secret of the text.
func NewSecret(text string) Secret { return Secret{text} }

// NewSigningSecret makes a secret for the deliveries of an endpoint, in the form of
// Stripe's: 128 random bits.
func NewSigningSecret() Secret { return Secret{"whsec_" + randomHex()} }

// Reveal is the text. Whoever calls it answers for where it goes.
func (s Secret) Reveal() string { return s.text }

// String is "[redacted]".
func (s Secret) String() string { return redacted }

// Format writes "[redacted]" whatever the verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// MarshalText gives "[redacted]", to JSON, YAML and logs alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal is the text of each secret.
func Reveal(secrets []Secret) []string {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		texts[i] = secret.text
	}
	return texts
}
