package analytics

import (
	"fmt"
	"reflect"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// rowColumns fill a table from structs: a column for each field with a tag `ch`, in order,
// of the name in the tag.
type rowColumns[T any] struct {
	schema  *arrow.Schema
	builder *array.RecordBuilder
	indexes [][]int
}

var instantType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// newRowColumns works out the columns of T, whose fields are texts, instants, flags, and
// integers of the widths that the ledger has.
func newRowColumns[T any]() (*rowColumns[T], error) {
	var c rowColumns[T]
	var fields []arrow.Field
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name := field.Tag.Get("ch")
		if name == "" {
			continue
		}
		column, known := map[reflect.Type]arrow.DataType{
			reflect.TypeFor[string](): arrow.BinaryTypes.String, reflect.TypeFor[time.Time](): instantType,
			reflect.TypeFor[bool](): arrow.FixedWidthTypes.Boolean, reflect.TypeFor[int64](): arrow.PrimitiveTypes.Int64,
			reflect.TypeFor[int8](): arrow.PrimitiveTypes.Int8, reflect.TypeFor[uint64](): arrow.PrimitiveTypes.Uint64,
			reflect.TypeFor[uint16](): arrow.PrimitiveTypes.Uint16,
		}[field.Type]
		if !known {
			return nil, fmt.Errorf("column %s is of %s, which tables have no type for", name, field.Type)
		}
		fields = append(fields, arrow.Field{Name: name, Type: column})
		c.indexes = append(c.indexes, field.Index)
	}
	c.schema = arrow.NewSchema(fields, nil)
	c.builder = array.NewRecordBuilder(memory.DefaultAllocator, c.schema)
	return &c, nil
}

// add appends a row.
func (c *rowColumns[T]) add(row *T) {
	value := reflect.ValueOf(row).Elem()
	for i, index := range c.indexes {
		cell := value.FieldByIndex(index)
		switch column := c.builder.Field(i).(type) {
		case *array.StringBuilder:
			column.Append(cell.String())
		case *array.TimestampBuilder:
			column.Append(arrow.Timestamp(cell.Interface().(time.Time).UnixMicro()))
		case *array.BooleanBuilder:
			column.Append(cell.Bool())
		case *array.Int64Builder:
			column.Append(cell.Int())
		case *array.Int8Builder:
			column.Append(int8(cell.Int()))
		case *array.Uint64Builder:
			column.Append(cell.Uint())
		case *array.Uint16Builder:
			column.Append(uint16(cell.Uint()))
		}
	}
}

// take gives the rows that were added, and begins anew.
func (c *rowColumns[T]) take() arrow.RecordBatch { return c.builder.NewRecordBatch() }
