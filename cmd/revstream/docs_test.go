package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

func getDocs(t *testing.T, app *fiber.App, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := app.Test(request, -1)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// The page works without a network: every file that it names is ours, and so is every
// file that those name; and the browser is told to load no other.
func TestDocsNeedNoOtherHost(t *testing.T) {
	app, _ := servedApp(t)
	_, page := getDocs(t, app, "/docs")
	named := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 5 {
		t.Fatalf("the page names %d files: %s", len(named), page)
	}
	loaded := regexp.MustCompile(`url\(["']?([^"')]+)|@import|importScripts|sourceMappingURL`)
	for _, match := range named {
		if match[1] == "data:," {
			continue
		}
		target, err := url.Parse(match[1])
		if err != nil || target.Host != "" || target.Scheme != "" {
			t.Errorf("the page refers to %s, which is not ours", match[1])
			continue
		}
		response, body := getDocs(t, app, match[1])
		if response.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: %d with %d bytes", match[1], response.StatusCode, len(body))
		}
		if kind := response.Header.Get("Content-Type"); strings.HasSuffix(target.Path, ".css") != strings.HasPrefix(kind, "text/css") ||
			strings.HasSuffix(target.Path, ".js") != strings.HasPrefix(kind, "text/javascript") {
			t.Errorf("%s is served as %s", match[1], kind)
		}
		if strings.HasSuffix(target.Path, ".css") {
			for _, load := range loaded.FindAllStringSubmatch(body, -1) {
				if !strings.HasPrefix(load[1], "data:") && !strings.HasPrefix(load[0], "sourceMappingURL") {
					t.Errorf("%s loads %s", match[1], load[0])
				}
			}
		}
	}
	for _, path := range []string{"/docs", "/docs/", "/docs/swagger-ui.css", "/docs/start.js"} {
		response, _ := getDocs(t, app, path)
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || regexp.MustCompile(`https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline`).MatchString(policy) {
			t.Errorf("%s has the policy %q", path, policy)
		}
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, "<style") {
		t.Error("the page has scripts or styles of its own, which its policy forbids")
	}
}

func TestDocsAreSentAsTheyCanBeRead(t *testing.T) {
	app, _ := servedApp(t)
	plain, text := getDocs(t, app, "/docs/start.js")
	if plain.Header.Get("Content-Encoding") != "" || !strings.Contains(text, `url: "/openapi.json"`) {
		t.Errorf("plain: %v\n%s", plain.Header, text)
	}
	packed, content := getDocs(t, app, "/docs/start.js", "Accept-Encoding", "gzip, br")
	if packed.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(content, "\x1f\x8b") {
		t.Errorf("packed: %v", packed.Header)
	}
	if same, _ := getDocs(t, app, "/docs/start.js", "If-None-Match", plain.Header.Get("Etag")); same.StatusCode != http.StatusNotModified {
		t.Errorf("what the browser has is sent again: %d", same.StatusCode)
	}
	for _, path := range []string{"/docs/docs.go", "/docs/..%2Fdocs.go", "/docs/swagger-ui.js.gz"} {
		if missing, _ := getDocs(t, app, path); missing.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, missing.StatusCode)
		}
	}
}
