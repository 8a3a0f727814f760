package revenue

import (
	"slices"
	"strings"
)

// exponents holds the number of decimals of every ISO 4217 currency that is money
// in circulation (list one, without funds, metals and test codes) or was within
// the years that histories reach back to. Currencies of two decimals are in
// twoDecimals and withdrawn.
var exponents = func() map[string]int {
	table := make(map[string]int, 160)
	for exponent, codes := range map[int]string{
		0: "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
		2: twoDecimals + withdrawn,
		3: "BHD IQD JOD KWD LYD OMR TND",
	} {
		for code := range strings.FieldsSeq(codes) {
			table[code] = exponent
		}
	}
	return table
}()

const twoDecimals = `
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN
BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD
FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`

// Exponent is the number of decimals of an ISO 4217 currency in upper case, and
// whether there is such a currency.
func Exponent(currency string) (int, bool) {
	exponent, ok := exponents[currency]
	return exponent, ok
}

// Currencies are those of so many decimals, in alphabetical order.
func Currencies(exponent int) []string {
	var codes []string
	for code, decimals := range exponents {
		if decimals == exponent {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes
}

// withdrawn are former currencies of two decimals since 2000.
const withdrawn = `
CUC EEK GHC HRK LTL LVL MRO MTL ROL SIT SKK SLL SRG STD TRL VEF ZMK ZWL`
