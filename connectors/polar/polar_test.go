package polar

import (
	"fmt"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
)

func kit() connectortest.Kit {
	return connectortest.Kit{Connector: New(), Secret: "polar_whs_of_the_tests", Other: "polar_whs_of_others", Sign: sign("webhook-"), Timed: true}
}

// sign puts on a delivery the headers that Polar would, or Svix.
func sign(family string) func(*connectors.Delivery, string, time.Time) {
	return func(delivery *connectors.Delivery, secret string, at time.Time) {
		const id = "msg_of_the_tests"
		seconds := fmt.Sprint(at.Unix())
		signature, err := standard.HMAC().Sign(secret, []byte(id+"."+seconds+"."), delivery.Body)
		if err != nil {
			panic(err) // any text is a key
		}
		delivery.Header.Set(family+"id", id)
		delivery.Header.Set(family+"timestamp", seconds)
		delivery.Header.Set(family+"signature", "v1,"+signature)
	}
}

func TestConnector(t *testing.T) { kit().Run(t) }

func TestSvixNames(t *testing.T) {
	k := kit()
	k.Sign = sign("svix-")
	k.Run(t)
}

func FuzzDecode(f *testing.F) { kit().Fuzz(f) }
