package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/ClickHouse/clickhouse-go/v2"
)

var (
	// ErrFenced: the fence refused an insert, because another writer has taken
	// the slice over. Whoever still owns the slice takes it over again.
	ErrFenced = errors.New("fenced by another epoch")
	// ErrUnavailable: the store did not answer, or not in time, or asks to wait.
	// The outcome of an insert is unknown; trying again may succeed.
	ErrUnavailable = errors.New("clickhouse is unavailable")
	// ErrTooExpensive: a query would exceed the limits of Config.
	ErrTooExpensive = errors.New("query exceeds its limits")
)

// Error codes of the server, by what follows from them.
const (
	codeConstraintViolated = 469
	codeUnknownTable       = 60
	codeThrowIf            = 395
	codeTableExists        = 57
	codeDatabaseExists     = 82
)

var retryableCodes = map[int32]bool{
	159: true, // TIMEOUT_EXCEEDED
	164: true, // READONLY
	202: true, // TOO_MANY_SIMULTANEOUS_QUERIES
	203: true, // NO_FREE_CONNECTION
	209: true, // SOCKET_TIMEOUT
	210: true, // NETWORK_ERROR
	236: true, // ABORTED
	241: true, // MEMORY_LIMIT_EXCEEDED
	242: true, // TABLE_IS_READ_ONLY
	243: true, // NOT_ENOUGH_SPACE
	252: true, // TOO_MANY_PARTS
	279: true, // ALL_CONNECTION_TRIES_FAILED
	285: true, // TOO_FEW_LIVE_REPLICAS
	319: true, // UNKNOWN_STATUS_OF_INSERT
	394: true, // QUERY_WAS_CANCELLED
	425: true, // SYSTEM_ERROR
	439: true, // CANNOT_SCHEDULE_TASK
	473: true, // DEADLOCK_AVOIDED
	999: true, // KEEPER_EXCEPTION
}

var limitCodes = map[int32]bool{
	158: true, // TOO_MANY_ROWS
	307: true, // TOO_MANY_BYTES
	396: true, // TOO_MANY_ROWS_OR_BYTES
}

// classify wraps an error of the driver with what follows from it: ErrFenced,
// ErrUnavailable, ErrTooExpensive, or none of them, when trying again will not
// help.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTooExpensive) {
		return err
	}
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		switch {
		case exception.Code == codeConstraintViolated:
			return fmt.Errorf("%w: %w", ErrFenced, err)
		case limitCodes[exception.Code]:
			return fmt.Errorf("%w: %w", ErrTooExpensive, err)
		case retryableCodes[exception.Code]:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, clickhouse.ErrAcquireConnTimeout) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// Retryable reports whether the same call may succeed later. The outcome of a
// failed insert is unknown all the same.
func Retryable(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFenced)
}
