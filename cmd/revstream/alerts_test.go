package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// alertRules is what of a Prometheus rule file the test looks at.
type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

var metricInExpression = regexp.MustCompile(`revstream_[a-z_]+`)

// TestAlertsNameWhatExists holds every alert to metrics that are registered and to a
// heading of the runbook. It does not evaluate the expressions.
func TestAlertsNameWhatExists(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot, "deploy/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules alertRules
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	runbook, err := os.ReadFile(filepath.Join(moduleRoot, "deploy/runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists, alerts := metricsOf(t), 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			named := metricInExpression.FindAllString(rule.Expr, -1)
			if len(named) == 0 {
				t.Errorf("%s asks for no metric: %s", rule.Alert, rule.Expr)
			}
			for _, name := range named {
				if !exists(name) {
					t.Errorf("%s asks for %s, which no metric is called", rule.Alert, name)
				}
			}
			if heading := "\n## " + rule.Annotations["runbook"] + "\n"; !strings.Contains(string(runbook), heading) {
				t.Errorf("%s points to %q, which the runbook does not have", rule.Alert, rule.Annotations["runbook"])
			}
		}
	}
	if alerts < 10 {
		t.Errorf("only %d alerts", alerts)
	}
}
