package analytics

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// csvType is the media type of answers as comma-separated values (RFC 4180).
const csvType = "text/csv"

// field is a member of an object, and value a decoded JSON value that keeps the order of
// its members: []field, []any, or what encoding/json makes of a scalar.
type field struct {
	name  string
	value any
}

// ordered decodes a JSON value, numbers as they are written.
func ordered(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		fields := []field{}
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := ordered(decoder)
			if err != nil {
				return nil, err
			}
			fields = append(fields, field{fmt.Sprint(name), value})
		}
		_, err = decoder.Token()
		return fields, err
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			value, err := ordered(decoder)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = decoder.Token()
		return list, err
	default:
		return token, nil
	}
}

func fieldOf(value any, name string) any {
	fields, _ := value.([]field)
	for _, f := range fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// sheet is a table whose columns are those of all its rows, in order of appearance.
type sheet struct {
	columns []string
	rows    []map[string]string
}

// add flattens an object into the last row: members of members by their path, elements of
// lists by what tells them apart, or else by their number.
func (s *sheet) add(path string, value any) {
	switch value := value.(type) {
	case []field:
		for _, f := range value {
			s.add(joined(path, f.name), f.value)
		}
	case []any:
		for i, element := range value {
			name := strconv.Itoa(i)
			for _, key := range []string{"currency", "reason", "period", "version"} {
				if told := fieldOf(element, key); told != nil {
					name = fmt.Sprint(told)
				}
			}
			s.add(joined(path, name), element)
		}
	default:
		if !slices.Contains(s.columns, path) {
			s.columns = append(s.columns, path)
		}
		if value != nil {
			s.rows[len(s.rows)-1][path] = fmt.Sprint(value)
		}
	}
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// next begins a row.
func (s *sheet) next() { s.rows = append(s.rows, map[string]string{}) }

// asCSV is an answer as a table: a line for each bucket of a series, row of a table or an
// explanation, or item of a listing. A series that is broken down has a line for each
// bucket of each part instead. What is null is empty.
func asCSV(answer []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	body, err := ordered(decoder)
	if err != nil {
		return nil, fmt.Errorf("reading an answer to write it as CSV: %w", err)
	}
	var table sheet
	parts, _ := fieldOf(body, "breakdown").([]any)
	series, _ := fieldOf(body, "series").([]any)
	for _, part := range parts {
		figures, _ := fieldOf(part, "series").([]any)
		for i, bucket := range figures {
			table.next()
			table.add("start", fieldOf(series[i], "start"))
			table.add("end", fieldOf(series[i], "end"))
			for _, name := range []string{"value", "attributionType", "others"} {
				table.add(name, fieldOf(part, name))
			}
			table.add("", bucket)
		}
	}
	for _, name := range []string{"items", "rows", "series"} {
		list, isList := fieldOf(body, name).([]any)
		if !isList || len(parts) > 0 {
			continue
		}
		for _, element := range list {
			table.next()
			table.add("", element)
		}
		break
	}
	return table.bytes()
}

func (s *sheet) bytes() ([]byte, error) {
	var text bytes.Buffer
	writer := csv.NewWriter(&text)
	err := writer.Write(s.columns)
	for _, row := range s.rows {
		line := make([]string, len(s.columns))
		for i, column := range s.columns {
			line[i] = guarded(row[column])
		}
		if err == nil {
			err = writer.Write(line)
		}
	}
	writer.Flush()
	if err == nil {
		err = writer.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("writing CSV: %w", err)
	}
	return text.Bytes(), nil
}

// guarded keeps spreadsheets from running a text that a sender made look like a formula.
// Numbers are left alone.
func guarded(text string) string {
	if text == "" || !bytes.ContainsRune([]byte("=+-@\t\r"), rune(text[0])) {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text
	}
	return "'" + text
}
