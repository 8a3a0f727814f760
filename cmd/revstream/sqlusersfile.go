package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"revstream/clickhouse"
	engine "revstream/clickhouse/embedded"
)

// sqlUsersFile lies in the data folder. The embedded ClickHouse keeps no users itself: it
// is given them at its start.
const sqlUsersFile = "sql-users.json"

// sqlUser is a user of the embedded ClickHouse, as the file has it: with the hash of the
// password.
type sqlUser struct {
	Name              string        `json:"name"`
	PasswordSHA256    string        `json:"password_sha256"`
	Workspace         string        `json:"workspace"`
	MemoryBytesMax    int64         `json:"memory_bytes_max"`
	Timeout           time.Duration `json:"timeout_ns"`
	QueriesPerHourMax int64         `json:"queries_per_hour_max"`
}

func (u sqlUser) reader(database string) engine.Reader {
	reader := confinedReader(u.Name, u.Workspace, database)
	reader.PasswordSHA256, reader.QueryMemoryBytesMax = u.PasswordSHA256, u.MemoryBytesMax
	reader.QueryTimeout, reader.QueriesPerHourMax = u.Timeout, u.QueriesPerHourMax
	return reader
}

// loadSQLUsers returns the users of the file, none if there is no file.
func loadSQLUsers(folder string) ([]sqlUser, error) {
	text, err := os.ReadFile(filepath.Join(folder, sqlUsersFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var users []sqlUser
	if err == nil {
		err = json.Unmarshal(text, &users)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the SQL users: %w", err)
	}
	return users, nil
}

// saveSQLUser adds a user to the file, in place of one of that name.
func saveSQLUser(folder string, user clickhouse.SQLUser) error {
	if err := user.Validate(); err != nil {
		return err
	}
	if user.Name == demoWorkspace || user.Name == engine.AdminUser || user.Name == "default" {
		return fmt.Errorf("user %q is there already, and not to be changed", user.Name)
	}
	hash := sha256.Sum256([]byte(user.Password))
	return changeSQLUsers(folder, user.Name, sqlUser{user.Name, hex.EncodeToString(hash[:]), user.Workspace,
		user.MemoryBytesMax, user.Timeout, user.QueriesPerHourMax})
}

// changeSQLUsers takes a user out of the file, and puts others in.
func changeSQLUsers(folder, name string, added ...sqlUser) error {
	users, err := loadSQLUsers(folder)
	if err != nil {
		return err
	}
	users = append(slices.DeleteFunc(users, func(u sqlUser) bool { return u.Name == name }), added...)
	text, err := json.MarshalIndent(users, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the SQL users: %w", err)
	}
	return replaceFile(filepath.Join(folder, sqlUsersFile), append(text, '\n'))
}
