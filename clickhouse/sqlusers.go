package clickhouse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"text/template"
	"time"
)

// SQLUser is a user of the server who reads the rows of one workspace, in the tables and
// the views, and nothing else.
type SQLUser struct {
	// Name is a plain identifier.
	Name     string
	Password string
	// Workspace is the id of the workspace.
	Workspace string
	// MemoryBytesMax bounds one query, and so does Timeout.
	MemoryBytesMax int64
	Timeout        time.Duration
	// QueriesPerHourMax is the quota.
	QueriesPerHourMax int64
}

// Validate says everything that is wrong with the user.
func (u SQLUser) Validate() error {
	var errs []error
	if !identifier.MatchString(u.Name) {
		errs = append(errs, fmt.Errorf("user %q: the name is not a plain identifier", u.Name))
	}
	if u.Password == "" || u.Workspace == "" {
		errs = append(errs, fmt.Errorf("user %q: a password and a workspace are required", u.Name))
	}
	if u.MemoryBytesMax <= 0 || u.Timeout < time.Second || u.QueriesPerHourMax <= 0 {
		errs = append(errs, fmt.Errorf("user %q: memory, time of a second or more, and queries per hour must be positive", u.Name))
	}
	return errors.Join(errs...)
}

// sqlUserValues are what the statements about a user are rendered with.
type sqlUserValues struct {
	Name, PasswordSHA256, WorkspaceHex                string
	MemoryBytesMax, TimeoutSeconds, QueriesPerHourMax int64
	// Confined are the tables of which the user sees the rows of the workspace, Open those
	// that have no workspace and the views, which show what their tables do.
	Confined, Open []string
}

func (c *Cluster) sqlUserValues(name string) sqlUserValues {
	values := sqlUserValues{Name: name}
	databases := slices.Compact([]string{c.config.Database, c.config.partsDatabase()})
	for _, database := range databases {
		for _, table := range append([]string{"events", "ledger"}, derivedTables...) {
			values.Confined = append(values.Confined, database+"."+table)
		}
		values.Open = append(values.Open, database+".fx_rates")
	}
	values.Open = append(values.Open, ViewsDatabase(c.config.Database)+".*")
	return values
}

// CreateSQLUser makes a user, or makes one of that name anew, on every server.
func (c *Cluster) CreateSQLUser(ctx context.Context, user SQLUser) error {
	if err := user.Validate(); err != nil {
		return err
	}
	values := c.sqlUserValues(user.Name)
	hash := sha256.Sum256([]byte(user.Password))
	values.PasswordSHA256, values.WorkspaceHex = hex.EncodeToString(hash[:]), hex.EncodeToString([]byte(user.Workspace))
	values.MemoryBytesMax, values.TimeoutSeconds = user.MemoryBytesMax, int64(user.Timeout/time.Second)
	values.QueriesPerHourMax = user.QueriesPerHourMax
	return c.onEach(func(shard *Store) error { return shard.execAll(ctx, "create_sql_user", values) })
}

// DropSQLUser ends a user on every server. One that is not there is no error.
func (c *Cluster) DropSQLUser(ctx context.Context, name string) error {
	if !identifier.MatchString(name) {
		return fmt.Errorf("user %q: the name is not a plain identifier", name)
	}
	return c.onEach(func(shard *Store) error { return shard.execAll(ctx, "drop_sql_user", c.sqlUserValues(name)) })
}

// execAll runs the statements of an embedded file one after another.
func (s *Store) execAll(ctx context.Context, name string, values any) error {
	text, err := renderFile("sql/"+name+".sql", values)
	if err != nil {
		return err
	}
	for _, statement := range statements(text) {
		if err := s.conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", name, classify(err))
		}
	}
	return nil
}

func renderFile(name string, values any) (string, error) {
	file, err := template.ParseFS(queryFiles, name)
	if err != nil {
		return "", fmt.Errorf("parsing %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := file.Execute(&text, values); err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	return text.String(), nil
}
