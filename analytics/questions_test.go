package analytics

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"revstream/clickhouse"
)

// A condition's marker ends its line, in every choice of every question.
func TestConditionsEndTheirLines(t *testing.T) {
	q, err := loadQuestions()
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{q.horizon, q.rates, q.retention, q.committed, q.trials}
	for _, choices := range []map[parts]string{q.flows, q.locate, q.movements, q.paying} {
		texts = slices.AppendSeq(texts, maps.Values(choices))
	}
	texts = slices.AppendSeq(texts, maps.Values(q.explain))
	texts = slices.AppendSeq(texts, maps.Values(q.explained))
	texts = slices.AppendSeq(texts, maps.Values(q.cohorts))
	texts = slices.AppendSeq(texts, maps.Values(q.revenueCohorts))
	texts = slices.AppendSeq(texts, maps.Values(q.originalRefunds))
	texts = slices.AppendSeq(texts, maps.Values(q.items))
	texts = slices.AppendSeq(texts, maps.Values(q.cancelled))
	texts = slices.AppendSeq(texts, maps.Values(q.pages))
	for _, text := range texts {
		if rest := given(text, nil); strings.Contains(rest, "-- ") {
			t.Errorf("a comment is left, which would hide the rest of its line:\n%s", rest)
		}
	}
}

func TestGiven(t *testing.T) {
	const sql = "-- A comment.\nSELECT 1\nWHERE a = {a:String} -- if a\n    AND b -- unless a\n    AND c IN {c:Array(Date)} -- if c\n    AND d -- if d\n"
	for want, values := range map[string][]clickhouse.Named{
		"SELECT 1\n    AND b\n":                               nil,
		"SELECT 1\n    AND b\n    AND d\n":                    {{Name: "a", Value: ""}, {Name: "c", Value: []string{}}, {Name: "d", Value: true}},
		"SELECT 1\nWHERE a = {a:String}\n":                    {{Name: "a", Value: "x"}, {Name: "d", Value: false}},
		"SELECT 1\n    AND b\n    AND c IN {c:Array(Date)}\n": {{Name: "c", Value: []string{"2026-01-01"}}},
	} {
		if got := given(sql, values); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
}
