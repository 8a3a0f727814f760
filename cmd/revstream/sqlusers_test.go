package main

import (
	"strings"
	"testing"
	"time"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded"
)

// The users of the embedded ClickHouse are those of the file, each confined to the
// workspace, and none may take the place of those that are there anyway.
func TestSQLUsersOfTheEmbeddedEngine(t *testing.T) {
	folder := t.TempDir()
	user := clickhouse.SQLUser{Name: "bi", Password: "secret", Workspace: "ws_1", MemoryBytesMax: 1 << 20, Timeout: time.Minute, QueriesPerHourMax: 10}
	for _, name := range []string{"bi", "other", "bi"} {
		user.Name = name
		if err := saveSQLUser(folder, user); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{demoWorkspace, embedded.AdminUser, "default", "no name", ""} {
		user.Name = name
		if err := saveSQLUser(folder, user); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	users, err := loadSQLUsers(folder)
	if err != nil || len(users) != 2 {
		t.Fatalf("%+v %v", users, err)
	}
	config := embedded.DefaultConfig()
	config.Dir = folder
	for _, u := range users {
		reader := u.reader("revstream")
		if strings.Contains(u.PasswordSHA256, "secret") || len(reader.Workspaces) != 1 || reader.Workspaces[0] != "ws_1" || len(reader.WorkspaceTables) < 5 {
			t.Errorf("%+v", reader)
		}
		config.Readers = append(config.Readers, reader)
	}
	if err := config.Validate(); err != nil {
		t.Error(err)
	}
	if err := changeSQLUsers(folder, "bi"); err != nil {
		t.Fatal(err)
	}
	if users, err = loadSQLUsers(folder); err != nil || len(users) != 1 || users[0].Name != "other" {
		t.Errorf("after dropping one: %+v %v", users, err)
	}
}
