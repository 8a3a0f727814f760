package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
)

// Actor is who makes a change, as the audit names them: "cli:root", "key:key_1".
type Actor string

const actorBytesMax = 200

func (a Actor) validate() error {
	if a == "" || len(a) > actorBytesMax || !utf8.ValidString(string(a)) || strings.ContainsFunc(string(a), isControl) {
		return invalid(fmt.Errorf("actor: 1 to %d bytes of printable UTF-8", actorBytesMax))
	}
	return nil
}

// AuditEntry says that someone set out to make a change. It never holds a secret.
type AuditEntry struct {
	At    time.Time `json:"at"`
	Actor Actor     `json:"actor"`
	// Action is what was done, like "key.revoke"; Subject to what, like
	// "key/key_1"; Detail how.
	Action    string            `json:"action"`
	Subject   string            `json:"subject"`
	Workspace string            `json:"workspace,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

// auditTime makes the keys of entries sort by time.
const auditTime = "2006-01-02T15:04:05.000000Z"

func (d *Directory) writeAudit(ctx context.Context, by Actor, s step) error {
	entry := AuditEntry{At: d.now(), Actor: by, Action: s.action, Subject: s.key, Workspace: s.workspace, Detail: s.detail}
	value, err := encode(entry)
	if err != nil {
		return err
	}
	key := auditPrefix + entry.At.Format(auditTime) + "-" + randomHex()[:8]
	if err := d.table.Put(ctx, key, value); err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return nil
}

// AuditFilter chooses entries. Zero members choose all.
type AuditFilter struct {
	Workspace string
	Since     time.Time
	// Limit is how many of the newest are wanted, at most AuditEntriesMax.
	Limit int
}

// Audit lists the changes, newest first, as of everything acknowledged before the
// call. Errors: stream.ErrBusy; others are of the local disk.
func (d *Directory) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	if f.Limit <= 0 || f.Limit > d.cfg.AuditEntriesMax {
		f.Limit = d.cfg.AuditEntriesMax
	}
	if err := d.table.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	var entries []AuditEntry
	err := d.table.Range(auditPrefix, func(key string, value []byte) bool {
		var entry AuditEntry
		if _, err := decode(value, &entry); err != nil {
			d.metrics.unreadable.Inc()
			d.log.Error("record of the control plane is ignored", zap.String("key", key), zap.Error(err))
			return true
		}
		if f.Workspace != "" && entry.Workspace != f.Workspace || entry.At.Before(f.Since) {
			return true
		}
		if entries = append(entries, entry); len(entries) >= 2*f.Limit {
			entries = slices.Delete(entries, 0, f.Limit) // only the newest are wanted
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	slices.Reverse(entries)
	return entries[:min(len(entries), f.Limit)], nil
}
