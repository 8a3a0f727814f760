package analytics

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

func openAPIDocument(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
	return document
}

// The document and the routes name the same paths and methods.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	documented := map[string]bool{}
	for path, item := range openAPIDocument(t).Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	served := map[string]bool{}
	_, app := newApp(t, nil)
	for _, route := range app.GetRoutes(true) {
		// Methods other than GET are there to say 405.
		if route.Method == http.MethodGet {
			served[route.Method+" "+route.Path] = true
		}
	}
	if !maps.Equal(documented, served) {
		t.Errorf("documented %v, served %v", documented, served)
	}
}

// The document says what the parser knows.
func TestOpenAPIHasTheParameters(t *testing.T) {
	document, config := openAPIDocument(t), DefaultConfig()
	parameters := map[string]*openapi3.Parameter{}
	for _, parameter := range document.Paths.Find(PathRevenue).Get.Parameters {
		parameters[parameter.Value.Name] = parameter.Value
	}
	enum := func(schema *openapi3.Schema) (values []string) {
		for _, value := range schema.Enum {
			values = append(values, value.(string))
		}
		return values
	}
	if got := enum(parameters["eventTypes"].Schema.Value.Items.Value); !slices.Equal(got, texts(listedKinds[:])) {
		t.Errorf("event types: %v", got)
	}
	if got := enum(parameters["sortBy"].Schema.Value); !slices.Equal(got, texts(sorts)) {
		t.Errorf("sorts: %v", got)
	}
	for _, name := range []string{"pageSize", "limit"} {
		schema := parameters[name].Schema.Value
		if *schema.Max != float64(config.PageSizeMax) || schema.Default != float64(config.PageSizeDefault) {
			t.Errorf("%s: maximum %v, default %v", name, *schema.Max, schema.Default)
		}
	}
	var series []string
	for _, parameter := range document.Paths.Find(PathMetricsMRR).Get.Parameters {
		series = append(series, parameter.Value.Name)
	}
	if !slices.Equal(series, slices.Concat(seriesParameters, policyParameters, []string{"includeReactivation"})) {
		t.Errorf("parameters of series: %v", series)
	}
	for path, known := range map[string][]string{PathCohorts: slices.Concat(seriesParameters, policyParameters, []string{"basis", "measure"}), PathTables: tableParameters,
		PathRetention: slices.Concat(seriesParameters, policyParameters), PathTrials: append(slices.Clone(seriesParameters), "basis"),
		PathMetricsRevenue: append(slices.Clone(seriesParameters), "refundBasis"),
		PathUncertain:      uncertainParameters,
		PathExport:         exportParameters, PathStream: append(slices.Clone(streamParameters), HeaderLastEventID)} {
		var names []string
		for _, parameter := range document.Paths.Find(path).Get.Parameters {
			names = append(names, parameter.Value.Name)
		}
		if !slices.Equal(names, known) {
			t.Errorf("parameters of %s: %v", path, names)
		}
	}
	var explain []string
	for _, parameter := range document.Paths.Find(PathExplain).Get.Parameters {
		explain = append(explain, parameter.Value.Name)
		if parameter.Value.Name == "limit" && *parameter.Value.Schema.Value.Max != explainLimitMax {
			t.Errorf("limit of /v1/explain: %v", *parameter.Value.Schema.Value.Max)
		}
	}
	if !slices.Equal(explain, explainParameters) {
		t.Errorf("parameters of /v1/explain: %v", explain)
	}
	// The summary's members are the contract's, in its order, and one of ours.
	summary := reflect.TypeFor[Summary]()
	var fields []string
	for i := range summary.NumField() {
		name, _, _ := strings.Cut(summary.Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	if want := document.Components.Schemas["RevenueSummary"].Value.Required; len(want) != 20 || !slices.Equal(fields, append(slices.Clone(want), "unconverted")) {
		t.Errorf("summary: %v, documented %v", fields, want)
	}
}

// Answers of every kind hold to the document.
func TestAnswersHoldToOpenAPI(t *testing.T) {
	document := openAPIDocument(t)
	f := newFixture(t)
	f.write(twoMonths()...)
	f.write(charge("eur", "2026-01-31T23:30:00Z", 1000, in("EUR")), state("e", "2026-01-31T23:30:00Z", 1000, in("EUR")))
	f.say(append(twoMonths(), doubtful(0, 5)...)...)
	range2026 := "workspaceSlug=acme&since=2026-01-01&until=2026-03-31T00:00:00Z"
	for _, target := range []string{
		"/revenue?workspaceSlug=acme", "/revenue?workspaceSlug=globex",
		"/revenue?" + range2026 + "&prevSince=2025-01-01&prevUntil=2025-12-31&includeSeries=true&limit=3&page=2",
		"/revenue?workspaceSlug=acme&eventTypes=dispute", "/revenue?workspaceSlug=acme&page=0", "/revenue?workspaceSlug=nobody",
		"/v1/metrics/revenue?" + range2026 + "&interval=month", "/v1/metrics/refunds?" + range2026 + "&interval=week&timeZone=Asia/Kolkata",
		"/v1/metrics/mrr?" + range2026, "/v1/metrics/mrr?" + range2026 + "&interval=x", "/v1/metrics/revenue?workspaceSlug=globex",
		"/v1/metrics/mrr?" + range2026 + "&asOf=2026-02-03", "/revenue?" + range2026 + "&asOf=2026-02-03",
		"/v1/explain?workspaceSlug=acme&figure=mrrCents&limit=2", "/v1/explain?" + range2026 + "&figure=refundCents&asOf=2026-03-01&changedSince=2026-02-01",
		"/v1/metrics/retention?" + range2026 + "&interval=week", "/v1/metrics/retention?" + range2026 + "&plan=x",
		"/v1/metrics/mrr?" + range2026 + "&interval=month&breakdown=plan&compare=previous&profile=stripe&top=1",
		"/v1/metrics/revenue?" + range2026 + "&interval=month&breakdown=campaign&compare=year", "/v1/metrics/refunds?" + range2026 + "&breakdown=luck",
		"/v1/metrics/refunds?" + range2026 + "&interval=month&refundBasis=original",
		"/v1/metrics/retention?" + range2026 + "&interval=month&profile=chartmogul&compare=previous",
		"/v1/metrics/cohorts?" + range2026 + "&interval=month", "/v1/metrics/cohorts?" + range2026 + "&interval=month&basis=relative",
		"/v1/metrics/cohorts?" + range2026 + "&basis=moon", "/v1/metrics/cohorts?" + range2026 + "&interval=month&measure=revenue&compare=previous", "/v1/metrics/trials?" + range2026 + "&interval=month&basis=ended",
		"/v1/metrics/churn?" + range2026 + "&interval=month", "/v1/metrics/committed?" + range2026 + "&interval=month",
		"/v1/export?workspaceSlug=acme", "/v1/export?workspaceSlug=acme&table=events&format=ndjson", "/v1/export?" + range2026 + "&limit=3",
		"/v1/export?workspaceSlug=acme&after=moon", "/v1/stream?workspaceSlug=acme&lastEventId=moon", "/v1/tables?" + range2026 + "&by=plan&limit=1", "/v1/tables?" + range2026 + "&by=campaign&asOf=2026-03-01", "/v1/tables?workspaceSlug=acme",
		"/v1/alerts/notifications?workspaceSlug=acme", "/v1/alerts/notifications?workspaceSlug=acme&limit=1", "/v1/alerts/notifications?workspaceSlug=acme&state=x",
		"/v1/explain?workspaceSlug=acme&figure=refundRate", "/v1/explain?workspaceSlug=acme&figure=luck",
		"/v1/metrics/churn?" + range2026 + "&interval=month&pastDueDays=7", "/v1/tables?by=plan&" + range2026 + "&pastDueDays=never&churnTiming=request&discounts=ignored",
		"/v1/uncertain?workspaceSlug=acme", "/v1/uncertain?workspaceSlug=acme&asOf=2026-03-01&provider=stripe", "/v1/uncertain?workspaceSlug=acme&plan=x",
	} {
		if strings.Contains(target, "profile=") {
			f.complete(testNow)
		}

		request := httptest.NewRequest(http.MethodGet, target, nil)
		request.Header.Set("X-Api-Key", readKey)
		if strings.Contains(target, "globex") {
			request.Header.Set("X-Api-Key", otherKey)
		}
		checkAnswer(t, document, request, f.send(request))
	}
}

func checkAnswer(t *testing.T, document *openapi3.T, request *http.Request, response *http.Response) {
	t.Helper()
	item := document.Paths.Find(request.URL.Path)
	route := &routers.Route{Spec: document, Path: request.URL.Path, PathItem: item, Method: http.MethodGet, Operation: item.Get}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	input := &openapi3filter.RequestValidationInput{Request: request, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(t.Context(), input); response.StatusCode == http.StatusOK && err != nil {
		t.Errorf("%s: the document refuses what was answered: %v", request.URL, err)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: response.StatusCode, Header: response.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	}); err != nil {
		t.Errorf("%s: %d %v", request.URL, response.StatusCode, err)
	}
}
