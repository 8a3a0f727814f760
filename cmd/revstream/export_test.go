package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// brokenLine lets requests through to a service, and cuts some of the answers off.
func brokenLine(t *testing.T, to string, cut func(number int64) bool) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	var number atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if cut(number.Add(1)) {
			response.Body = &halfBody{response.Body, 700}
		}
		return nil
	}
	line := httptest.NewServer(proxy)
	t.Cleanup(line.Close)
	return line, &number
}

// halfBody ends too soon.
type halfBody struct {
	io.ReadCloser
	left int
}

func (b *halfBody) Read(into []byte) (int, error) {
	if b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(into[:min(len(into), b.left)])
	b.left -= n
	return n, err
}

// Over a line that breaks, in two runs of which the first is cut off, an export has the
// rows that it has over a good one at once.
func TestExportCommand(t *testing.T) {
	t.Parallel()
	s := startService(t, t.TempDir())
	s.client.must(registration)
	for _, call := range append(steps(), anyOrder()...) {
		s.client.must(call)
	}
	export := func(code int, url string, args ...string) string {
		t.Helper()
		return s.revstream(code, append([]string{"export", "--url", url, "--key", s.client.secret, "--workspace", s.client.workspace}, args...)...)
	}
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole.csv")
	s.await("the rows", 30*time.Second, func() error {
		if err := os.Remove(whole); err != nil && !os.IsNotExist(err) {
			return err
		}
		export(exitOK, s.url, "--to", whole)
		lines, err := csv.NewReader(strings.NewReader(fileText(t, whole))).ReadAll()
		if err != nil {
			return err
		}
		if len(lines) < 10 {
			return fmt.Errorf("%d lines", len(lines))
		}
		return nil
	})
	asOf := time.Now().UTC()
	s.await("a state to export", 30*time.Second, func() error {
		status, body, err := s.client.get("/v1/export?workspaceSlug=" + s.client.workspace + "&asOf=" + url.QueryEscape(asOf.Format(time.RFC3339Nano)))
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %w %s", status, err, body)
		}
		return nil
	})
	for _, format := range []string{"ndjson", "arrow"} {
		args := []string{"--format", format, "--rows-per-part", "3", "--as-of", asOf.Format(time.RFC3339Nano)}
		at := filepath.Join(folder, "once."+format)
		export(exitOK, s.url, append(args, "--to", at)...)

		// The sixth answer and all after it are cut off: the command gives up.
		broken, count := brokenLine(t, s.url, func(number int64) bool { return number > 5 })
		to := filepath.Join(folder, "parts."+format)
		if output := export(exitFailure, broken.URL, append(args, "--to", to)...); !strings.Contains(output, errBrokenOff.Error()) || count.Load() != 10 {
			t.Errorf("%s after %d answers: %s", format, count.Load(), output)
		}
		// Another question does not go on with it.
		export(exitUsage, s.url, "--format", format, "--rows-per-part", "4", "--to", to)
		// Every other answer is cut off: it goes on to the end.
		flaky, _ := brokenLine(t, s.url, func(number int64) bool { return number%2 == 1 })
		output := export(exitOK, flaky.URL, append(args, "--to", to)...)
		if got, want := content(t, to), content(t, at); !bytes.Equal(got, want) || len(want) < 3000 {
			t.Errorf("%s: %d bytes, want %d", format, len(got), len(want))
		}
		if rows := strings.Fields(output)[0]; format == "ndjson" && rows != strconv.Itoa(strings.Count(fileText(t, to), "\n")) {
			t.Errorf("%s: %s", format, output)
		}
		if _, err := os.Stat(to + ".resume"); !os.IsNotExist(err) {
			t.Errorf("%s: there is still something to go on with: %v", format, err)
		}
		export(exitUsage, s.url, append(args, "--to", to)...) // does not overwrite
	}
	if status, body, err := s.client.get("/docs"); err != nil || status != fiber.StatusOK || !strings.Contains(string(body), "/docs/start.js") {
		t.Errorf("/docs: %d %v", status, err)
	}
	s.stop()
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// content is that of a file, or of all files of a folder in order.
func content(t *testing.T, path string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(path, "part-*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		files = []string{path}
	}
	var all []byte
	for _, file := range files {
		all = append(all, fileText(t, file)...)
	}
	return all
}
