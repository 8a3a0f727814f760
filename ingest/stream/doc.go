// Package stream is revstream's view of Kafka: the published encoding of a
// statement, the topics and their settings, publishing with full
// acknowledgement, dead letters, and compacted topics materialised as local
// tables.
//
// It must never know HTTP, providers, the fold or ClickHouse. Everything that it
// keeps on local disk can be thrown away: Kafka is the authority.
//
// Errors fall in the classes of the product:
//
//   - reject: ErrInvalid, ErrTooLarge (the caller's fault, 4xx);
//   - retry: ErrBusy (503 with Retry-After; the outcome may be unknown, and
//     publishing the same statement again is harmless);
//   - quarantine: ErrPoison (a record that no attempt will ever decode).
package stream
