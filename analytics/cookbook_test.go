package analytics

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/revenue"
)

// recipe is a question of the cookbook: its SQL, and where the API has the same.
type recipe struct{ title, sql, target, list, key, value string }

var recipeText = regexp.MustCompile("(?s)## (\\d+\\. [^\\n]+)\\n.*?```sql\\n(.*?)\\n```\\n\\nAPI: `([^`]+)`, `([^`]+)` by `([^`]+)`: `([^`]+)`\\n")

func readCookbook(t *testing.T) (recipes []recipe) {
	t.Helper()
	text, err := os.ReadFile("cookbook/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range recipeText.FindAllStringSubmatch(string(text), -1) {
		recipes = append(recipes, recipe{match[1], match[2], match[3], match[4], match[5], match[6]})
	}
	if headings := strings.Count(string(text), "\n## "); len(recipes) != headings || headings < 30 {
		t.Fatalf("%d questions under %d headings", len(recipes), headings)
	}
	return recipes
}

// cookbookDatabase is the one that the reader of the cookbook may read.
const cookbookDatabase = "kitchen"

// newKitchen is a fixture on an engine of its own, with a reader of one workspace and the
// views.
func newKitchen(t *testing.T) (*fixture, *embedded.Engine) {
	t.Helper()
	config := enginetest.Config(t.TempDir())
	reader := embedded.Reader{Name: "cook", Password: "salt", Workspaces: []string{"ws_1"},
		Open: []string{cookbookDatabase + ".fx_rates", clickhouse.ViewsDatabase(cookbookDatabase) + ".*"}}
	for _, table := range append([]string{"events", "ledger"}, clickhouse.DerivedTables()...) {
		reader.WorkspaceTables = append(reader.WorkspaceTables, cookbookDatabase+"."+table)
	}
	config.Readers = append(config.Readers, reader)
	engine, err := embedded.Start(t.Context(), config, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Stop(context.Background()) })
	f := newFixtureOn(t, engine, cookbookDatabase)
	if err := f.store.PublishViews(t.Context(), cookbookDatabase); err != nil {
		t.Fatal(err)
	}
	return f, engine
}

// cook asks as the reader, in the database of the views, and returns the rows.
func (f *fixture) cook(engine *embedded.Engine, query string) [][]string {
	f.t.Helper()
	target := "http://" + engine.HTTPAddr() + "/?" + url.Values{
		"database": {clickhouse.ViewsDatabase(f.database)}, "default_format": {"TSVRaw"}}.Encode()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, target, strings.NewReader(query))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("X-ClickHouse-User", "cook")
	request.Header.Set("X-ClickHouse-Key", "salt")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s\n%s %v", query, body, err)
	}
	var rows [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(body), "\n"), "\n") {
		if line != "" {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	return rows
}

// amounts are what an answer says, by key; what is nothing or not known is left out.
func amounts(t *testing.T, rows [][]string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, row := range rows {
		value, ok := new(big.Rat).SetString(row[1])
		if row[1] == "null" || row[1] == "\\N" || ok && value.Sign() == 0 {
			continue
		}
		if !ok {
			t.Fatalf("%q is no number", row[1])
		}
		values[row[0]] = value.RatString()
	}
	return values
}

// Every question of the cookbook has in SQL, for the user of a workspace, the answer that
// the API gives.
func TestCookbook(t *testing.T) {
	const seed = 53
	random := rand.New(rand.NewPCG(seed, seed))
	events := received(random, ofPlans(random, randomEvents(random, 300)))
	for i := range events {
		if e := &events[i]; e.Kind == revenue.KindCharge {
			e.Customer, e.Tax, e.Fee = fmt.Sprint("cus_", i%20), e.Amount/5, e.Amount/50
		}
		if e := &events[i]; e.Kind == revenue.KindSubscription && random.IntN(4) == 0 {
			e.Status = revenue.StatusPastDue
		}
		if e := &events[i]; e.Kind == revenue.KindSubscription && random.IntN(4) == 0 {
			e.MRRBeforeDiscounts, e.MRR = e.MRR+300*revenue.MRRScale, e.MRR*int64(random.IntN(2))
		}
	}
	f, engine := newKitchen(t)
	f.write(events...)
	f.say(events...)
	f.complete(testNow)
	strangers := randomEvents(random, 50)
	for i := range strangers {
		strangers[i].Workspace = "ws_2"
	}
	f.write(strangers...)
	f.euroRates()
	empty := 0
	for _, recipe := range readCookbook(t) {
		path, parameters, _ := strings.Cut(recipe.target, "?")
		answer := any(get[map[string]any](f, path, "workspaceSlug=acme&"+parameters))
		for name := range strings.SplitSeq(recipe.list, ".") {
			answer = element(answer, name)
		}
		list, ok := answer.([]any)
		if !ok {
			t.Fatalf("%s: no list %s", recipe.title, recipe.list)
		}
		var told [][]string
		for _, one := range list {
			key, _, _ := strings.Cut(member(one, recipe.key), "T")
			told = append(told, []string{key, member(one, recipe.value)})
		}
		got, want := amounts(t, f.cook(engine, recipe.sql)), amounts(t, told)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s\nSQL %v\nAPI %v", recipe.title, got, want)
		}
		if len(want) == 0 {
			empty++
		}
	}
	if empty > 2 {
		t.Errorf("%d answers are nothing: the test shows little", empty)
	}
}

// element is a member of an object, or an element of a list.
func element(value any, name string) any {
	switch value := value.(type) {
	case map[string]any:
		return value[name]
	case []any:
		var at int
		if _, err := fmt.Sscan(name, &at); err == nil && at < len(value) {
			return value[at]
		}
	}
	return nil
}
