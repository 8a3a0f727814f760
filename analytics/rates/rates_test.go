package rates

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"revstream/clickhouse"
)

func rate(day, base, quote, value, source string) clickhouse.Rate {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err) // a mistake in a test's own text
	}
	return clickhouse.Rate{Day: at, Base: base, Quote: quote, Value: decimal.RequireFromString(value), Source: source}
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		text, source string
		want         []clickhouse.Rate
	}{
		// The history ends each line with a comma and says N/A for currencies that
		// were not or no longer quoted.
		"the bank's history": {"Date,USD,JPY,RUB,\n2026-11-20,1.0545,163.10,N/A,\n2022-03-01,1.1162,128.31,117.2010,\n", "", []clickhouse.Rate{
			rate("2026-11-20", "EUR", "USD", "1.0545", "ecb"), rate("2026-11-20", "EUR", "JPY", "163.10", "ecb"),
			rate("2022-03-01", "EUR", "USD", "1.1162", "ecb"), rate("2022-03-01", "EUR", "JPY", "128.31", "ecb"),
			rate("2022-03-01", "EUR", "RUB", "117.2010", "ecb"),
		}},
		"the bank's last day": {"Date, USD, JPY, \n20 November 2026, 1.0545, 163.10, \n", "", []clickhouse.Rate{
			rate("2026-11-20", "EUR", "USD", "1.0545", "ecb"), rate("2026-11-20", "EUR", "JPY", "163.10", "ecb"),
		}},
		"a table from a spreadsheet": {"\ufeffday,base,quote,rate\r\n2026-11-20,usd,EUR,0.948316737790422001\r\n", "treasury", []clickhouse.Rate{
			rate("2026-11-20", "USD", "EUR", "0.948316737790422001", "treasury"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(test.text), test.source)
			if err != nil || len(got) != len(test.want) {
				t.Fatalf("read %v, %v; want %v", got, err, test.want)
			}
			for i, want := range test.want {
				if got[i].Day != want.Day || got[i].Base != want.Base || got[i].Quote != want.Quote ||
					!got[i].Value.Equal(want.Value) || got[i].Source != want.Source {
					t.Errorf("rate %d is %+v, want %+v", i, got[i], want)
				}
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                     "first line",
		"<html>no such page":   "first line",
		"Date,USD\n":           "nothing after",
		"Date,USD\n20/11/26,1": "line 2: \"20/11/26\" is not a day",
		"Date,USD\n2026-11-20,1.0545\n2026-11-19,1,2\n":                               "line 3: field 3 has no currency",
		"Date,USD\n2026-11-20,1.05x\n":                                                "not a decimal",
		"Date,USD\n2026-11-20,1e3\n":                                                  "not a decimal",
		"Date,USD\n2026-11-20,-1\n":                                                   "not positive",
		"Date,USD\n2026-11-20,0\n":                                                    "not positive",
		"Date,US\n2026-11-20,1\n":                                                     "\"US\" is not a currency",
		"day,base,quote,rate\n2026-11-20,USD,USD,1\n":                                 "to itself",
		"day,base,quote,rate\n2026-11-20,USD,EUR\n":                                   "3 fields",
		"day,base,quote,rate\n2026-11-20,USD,EUR,0." + strings.Repeat("1", 19) + "\n": "more than 18 decimals",
		"day,base,quote,rate\n2026-11-20,USD,EUR," + strings.Repeat("1", 21) + "\n":   "20 digits",
		"day,base,quote,rate\n2026-11-20,USD,\"EUR,1\n":                               "line 2",
	} {
		rates, err := Read(strings.NewReader(text), "")
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v; want an ErrInvalid that says %q", text, rates, err, says)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Date,USD,JPY,\n2026-11-20,1.0545,N/A,\n")
	f.Add("day,base,quote,rate\n2026-11-20,USD,EUR,0.9\n")
	f.Fuzz(func(t *testing.T, text string) {
		rates, err := Read(strings.NewReader(text), "")
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("%v is not an ErrInvalid", err)
		}
		for _, rate := range rates {
			if err == nil && rate.Value.Sign() <= 0 {
				t.Fatalf("read %+v", rate)
			}
		}
	})
}
