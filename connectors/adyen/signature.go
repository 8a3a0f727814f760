package adyen

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"revstream/connectors"
)

// signature is how each item is signed: the key is the bytes that the secret spells.
var signature = connectors.HMAC{Key: keyOf, Base64: true}

// keyOf reads the key of a secret, which Adyen makes as long as the hash.
func keyOf(secret string) ([]byte, error) {
	key, err := hex.DecodeString(secret)
	if err != nil || len(key) != sha256.Size {
		return nil, fmt.Errorf("must be %d hexadecimal digits", hex.EncodedLen(sha256.Size))
	}
	return key, nil
}

func isUserAndPassword(value string) error {
	if user, password, ok := strings.Cut(value, ":"); !ok || user == "" || password == "" {
		return errors.New("must be a user and a password, joined by a colon")
	}
	return nil
}

// verify checks each item by itself. The secret that it names is the latest of the
// list that was needed, so that an old one counts as needed while any item needs it.
func verify(delivery connectors.Delivery) (connectors.Verification, error) {
	if err := verifySender(delivery); err != nil {
		return connectors.Verification{}, err
	}
	envelope, err := connectors.ParseObject(delivery.Body)
	if err != nil {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonUnreadable, "the body, which holds the signatures, is not JSON")
	}
	items := itemsOf(envelope)
	if len(items) == 0 {
		return connectors.Verification{}, connectors.Refuse(connectors.ReasonMissing, "there is no item, and so no signature")
	}
	verification := connectors.Verification{Refused: map[int]error{}}
	var refused error
	for position, data := range items {
		one, err := signature.Verify(delivery.Secrets, signaturesOf(data), []byte(signed(data)))
		if err != nil {
			verification.Refused[position], refused = err, err
			continue
		}
		verification.Secret = max(verification.Secret, one.Secret)
	}
	if len(verification.Refused) == len(items) {
		return connectors.Verification{}, refused
	}
	return verification, nil
}

// verifySender asks for the password of the endpoint, if it has one.
func verifySender(delivery connectors.Delivery) error {
	expected := delivery.Settings["basic_auth"]
	if expected == "" {
		return nil
	}
	request := http.Request{Header: delivery.Header}
	user, password, given := request.BasicAuth()
	switch {
	case !given:
		return connectors.Refuse(connectors.ReasonMissing, "there is no Basic authorization, which the endpoint asks for")
	case !connectors.SameText(user+":"+password, expected):
		return connectors.Refuse(connectors.ReasonMismatch, "the Basic authorization is not that of the endpoint")
	}
	return nil
}

func signaturesOf(data connectors.Object) []string {
	if text := textOf(data.Value("additionalData.hmacSignature")); text != "" {
		return []string{text}
	}
	return nil
}

// signed is what the signature of an item covers: eight of its members joined by
// colons, nothing where there is none, and nothing escaped, although they may hold
// colons (docs.adyen.com/development-resources/webhooks/verify-hmac-signatures).
func signed(data connectors.Object) string {
	members := [...]string{
		"pspReference", "originalReference", "merchantAccountCode", "merchantReference",
		"amount.value", "amount.currency", "eventCode", "success",
	}
	values := make([]string, len(members))
	for i, member := range members {
		values[i] = textOf(data.Value(member))
	}
	return strings.Join(values, ":")
}

// textOf is a member as it was written; Object.Text would make it fit for a column.
func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	default:
		return ""
	}
}
