package analytics

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/go-json-experiment/json/jsontext"
)

// Media types of answers and exports beside JSON: comma-separated values (RFC 4180), a JSON
// object a line, Apache Parquet, and the stream form of Apache Arrow.
const (
	csvType     = "text/csv"
	ndjsonType  = "application/x-ndjson"
	parquetType = "application/vnd.apache.parquet"
	arrowType   = "application/vnd.apache.arrow.stream"
)

// tableWriter writes tables, batch by batch. Close writes what ends them; nothing before
// it makes a whole file.
type tableWriter interface {
	Write(batch arrow.RecordBatch) error
	Close() error
}

// newTableWriter writes tables of a schema in the form of a media type. A header says of a
// form with headings that this is where the table begins.
func newTableWriter(mediaType string, schema *arrow.Schema, into io.Writer, header bool) (tableWriter, error) {
	switch mediaType {
	case csvType:
		w := &csvTable{csv.NewWriter(into)}
		if header {
			return w, w.head(schema)
		}
		return w, nil
	case ndjsonType:
		return ndjsonTable{into}, nil
	case arrowType:
		return ipc.NewWriter(into, ipc.WithSchema(schema)), nil
	case parquetType:
		properties := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCreatedBy("revstream"))
		// With the schema of Arrow in it, instants come back as UTC.
		return pqarrow.NewFileWriter(schema, into, properties, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	default:
		return nil, fmt.Errorf("there is no table form %q", mediaType)
	}
}

// csvTable writes lines of text: no value is empty, and no text is one that a spreadsheet
// would run.
type csvTable struct{ lines *csv.Writer }

func (w *csvTable) head(schema *arrow.Schema) error {
	names := make([]string, schema.NumFields())
	for i, field := range schema.Fields() {
		names[i] = field.Name
	}
	return w.lines.Write(names)
}

func (w *csvTable) Write(batch arrow.RecordBatch) error {
	line := make([]string, batch.NumCols())
	for n := range int(batch.NumRows()) {
		for i, column := range batch.Columns() {
			line[i] = cellText(column, n)
			if column.DataType().ID() == arrow.STRING {
				line[i] = guarded(line[i])
			}
		}
		if err := w.lines.Write(line); err != nil {
			return err
		}
	}
	w.lines.Flush()
	return w.lines.Error()
}

func (w *csvTable) Close() error {
	w.lines.Flush()
	return w.lines.Error()
}

// ndjsonTable writes an object a line. Integers of 64 bits without a sign, which are names
// and not amounts, are text: JavaScript would round them.
type ndjsonTable struct{ into io.Writer }

func (w ndjsonTable) Write(batch arrow.RecordBatch) error {
	encoder := jsontext.NewEncoder(w.into)
	for n := range int(batch.NumRows()) {
		if err := encoder.WriteToken(jsontext.BeginObject); err != nil {
			return err
		}
		for i, column := range batch.Columns() {
			if err := encoder.WriteToken(jsontext.String(batch.ColumnName(i))); err != nil {
				return err
			}
			if err := encoder.WriteToken(cellToken(column, n)); err != nil {
				return err
			}
		}
		if err := encoder.WriteToken(jsontext.EndObject); err != nil { // and ends the line
			return err
		}
	}
	return nil
}

func (w ndjsonTable) Close() error { return nil }

// cellText is a cell as text: instants with the microseconds of the ledger, nothing for null.
func cellText(column arrow.Array, n int) string {
	if column.IsNull(n) {
		return ""
	}
	switch column := column.(type) {
	case *array.String:
		return column.Value(n)
	case *array.Timestamp:
		return exactInstant(time.UnixMicro(int64(column.Value(n))))
	case *array.Float64:
		return strconv.FormatFloat(column.Value(n), 'f', -1, 64)
	default:
		return column.ValueStr(n)
	}
}

func cellToken(column arrow.Array, n int) jsontext.Token {
	if column.IsNull(n) {
		return jsontext.Null
	}
	switch column := column.(type) {
	case *array.Boolean:
		return jsontext.Bool(column.Value(n))
	case *array.Int64:
		return jsontext.Int(column.Value(n))
	case *array.Int8:
		return jsontext.Int(int64(column.Value(n)))
	case *array.Uint16:
		return jsontext.Uint(uint64(column.Value(n)))
	default:
		return jsontext.String(cellText(column, n))
	}
}
