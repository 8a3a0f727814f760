package analytics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

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
	rows    []map[string]any
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
			s.rows[len(s.rows)-1][path] = value
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
func (s *sheet) next() { s.rows = append(s.rows, map[string]any{}) }

// sheetOf is an answer as a table: a row for each bucket of a series, row of a table or an
// explanation, or item of a listing. A series that is broken down has a row for each bucket
// of each part instead.
func sheetOf(answer []byte) (*sheet, error) {
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	body, err := ordered(decoder)
	if err != nil {
		return nil, fmt.Errorf("reading an answer to make a table of it: %w", err)
	}
	table := &sheet{}
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
	return table, nil
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

// ratioName is the name of a column whose numbers are no amounts but ratios, with up
// to three decimals.
var ratioName = regexp.MustCompile(`(?i)(rate|ratio|retention|churn|rateByAmount)$`)

// countName is that of a column that holds whole numbers, whether or not any is known.
var countName = regexp.MustCompile(`(Cents|Count|Subscriptions|Customers)$`)

// typeOf is the type of a column: it must not depend on which numbers happen to be in it.
func (s *sheet) typeOf(column string) arrow.DataType {
	for _, row := range s.rows {
		switch row[column].(type) {
		case json.Number:
			if ratioName.MatchString(column) {
				return arrow.PrimitiveTypes.Float64
			}
			return arrow.PrimitiveTypes.Int64
		case bool:
			return arrow.FixedWidthTypes.Boolean
		case string:
			return arrow.BinaryTypes.String
		}
	}
	switch {
	case ratioName.MatchString(column):
		return arrow.PrimitiveTypes.Float64
	case countName.MatchString(column):
		return arrow.PrimitiveTypes.Int64
	}
	return arrow.BinaryTypes.String
}

// batch is the table with types: whole numbers of 64 bits, ratios, texts.
func (s *sheet) batch() (arrow.RecordBatch, error) {
	fields := make([]arrow.Field, len(s.columns))
	for i, column := range s.columns {
		fields[i] = arrow.Field{Name: column, Type: s.typeOf(column), Nullable: true}
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer builder.Release()
	for _, row := range s.rows {
		for i, column := range s.columns {
			value, there := row[column]
			if !there {
				builder.Field(i).AppendNull()
				continue
			}
			if err := builder.Field(i).AppendValueFromString(fmt.Sprint(value)); err != nil {
				return nil, fmt.Errorf("column %s: %w", column, err)
			}
		}
	}
	return builder.NewRecordBatch(), nil
}

// asTable is an answer in one of the forms of tables.
func asTable(answer []byte, mediaType string) ([]byte, error) {
	table, err := sheetOf(answer)
	if err != nil {
		return nil, err
	}
	batch, err := table.batch()
	if err != nil {
		return nil, err
	}
	defer batch.Release()
	var text bytes.Buffer
	writer, err := newTableWriter(mediaType, batch.Schema(), &text, true)
	if err == nil {
		err = errors.Join(writer.Write(batch), writer.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("writing a table as %s: %w", mediaType, err)
	}
	return text.Bytes(), nil
}
