package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

// exportTarget is where an export is written, and what is needed to go on with it.
type exportTarget struct {
	to     string
	format string
	exportPosition
}

// exportPosition is what the file beside an export says.
type exportPosition struct {
	// Question is what was asked, so that another question does not go on with it.
	Question string `json:"question"`
	AsOf     string `json:"asOf"`
	// Next is where the next part begins; Parts and Bytes are what is written.
	Next  string `json:"next"`
	Parts int    `json:"parts"`
	Bytes int64  `json:"bytes"`
	Total int64  `json:"total"`
}

// openExportTarget finds out where an export was cut off, or makes sure that nothing is
// overwritten.
func openExportTarget(to string, question url.Values) (*exportTarget, error) {
	t := &exportTarget{to: to, format: question.Get("format")}
	text, err := os.ReadFile(t.resumePath())
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &t.exportPosition); err != nil {
			return nil, fmt.Errorf("reading where the export to %s was cut off: %w", to, err)
		}
		if t.Question != question.Encode() {
			return nil, exitWith(exitUsage, fmt.Errorf("%s is of another export (%s): ask the same, or remove it", t.resumePath(), t.Question))
		}
		return t, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("reading where the export was cut off: %w", err)
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		return nil, exitWith(exitUsage, fmt.Errorf("%s is there already, and no export that could go on", to))
	}
	t.Question = question.Encode()
	return t, nil
}

func (t *exportTarget) resumePath() string { return t.to + ".resume" }

// inLines reports whether parts can be put one after the other.
func (t *exportTarget) inLines() bool { return slices.Contains([]string{"csv", "ndjson"}, t.format) }

// begin takes down what the first part says of the whole.
func (t *exportTarget) begin(left int64, asOf string) {
	if t.Parts == 0 {
		t.Total, t.AsOf = left, asOf
	}
}

// write takes a part, wholly or not at all, and where the next begins.
func (t *exportTarget) write(part io.Reader, next string) error {
	written, err := t.writePart(part)
	if err != nil {
		return err
	}
	t.Parts++
	t.Bytes += written
	if t.Next = next; next == "" {
		return nil
	}
	text, err := json.Marshal(t.exportPosition)
	if err != nil {
		return fmt.Errorf("encoding where an export is: %w", err)
	}
	return replaceFile(t.resumePath(), text)
}

// writePart writes to the end of the file, or to a file of its own. What an attempt before
// has left is overwritten.
func (t *exportTarget) writePart(part io.Reader) (written int64, err error) {
	path := t.to
	if !t.inLines() {
		if err := os.MkdirAll(t.to, 0o750); err != nil {
			return 0, fmt.Errorf("making the folder: %w", err)
		}
		path = filepath.Join(t.to, fmt.Sprintf("part-%05d.%s", t.Parts+1, t.format))
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return 0, fmt.Errorf("opening the file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	begin := int64(0)
	if t.inLines() {
		begin = t.Bytes
	}
	if err := file.Truncate(begin); err != nil {
		return 0, fmt.Errorf("going back to where the last part ended: %w", err)
	}
	if _, err := file.Seek(begin, io.SeekStart); err != nil {
		return 0, fmt.Errorf("going to where the last part ended: %w", err)
	}
	into := &toFile{file: file}
	written, err = io.Copy(into, part)
	if err != nil && into.err == nil {
		return 0, fmt.Errorf("%w: %w", errBrokenOff, err)
	}
	if err != nil {
		return 0, fmt.Errorf("writing a part: %w", err)
	}
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("writing a part to disk: %w", err)
	}
	return written, nil
}

// toFile tells errors of writing from those of reading.
type toFile struct {
	file *os.File
	err  error
}

// Write is the file's.
func (w *toFile) Write(text []byte) (int, error) {
	n, err := w.file.Write(text)
	w.err = err
	return n, err
}

// finish forgets where the export was: it is whole.
func (t *exportTarget) finish() error {
	if err := os.Remove(t.resumePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the file to go on from: %w", err)
	}
	return nil
}
