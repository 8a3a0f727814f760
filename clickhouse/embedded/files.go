package embedded

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed config.xml.tmpl
var configTemplate string

//go:embed users.xml.tmpl
var usersTemplate string

// readerQueryTimeout is what a Reader without a QueryTimeout gets.
const readerQueryTimeout = time.Minute

// startQueriesMax is how many queries the start query counts as, against the
// quota of the library's own session. One more and a stranger could run it.
const startQueriesMax = 3

// prepareFolder creates the engine's folders; the data is for its owner only.
func prepareFolder(cfg Config) error {
	for _, dir := range []string{cfg.Dir, cfg.dataDir(), cfg.logDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("creating the engine's folder: %w", err)
		}
	}
	return nil
}

// writeFiles writes what the child reads at its start.
func writeFiles(cfg Config, password string) error {
	config, err := renderConfig(cfg)
	if err != nil {
		return err
	}
	users, err := renderUsers(cfg, password)
	if err != nil {
		return err
	}
	if err := os.WriteFile(cfg.configFile(), config, 0o600); err != nil {
		return fmt.Errorf("writing the engine's configuration: %w", err)
	}
	if err := os.WriteFile(cfg.usersFile(), users, 0o600); err != nil {
		return fmt.Errorf("writing the engine's users: %w", err)
	}
	return nil
}

func renderConfig(cfg Config) ([]byte, error) {
	durable := 0
	if cfg.Durable {
		durable = 1
	}
	return render("config.xml", configTemplate, struct {
		Config
		LogDir, UsersFile       string
		OldPartsLifetimeSeconds int64
		QueryLogRowsMin         int
		Durable                 int
	}{
		Config:                  cfg,
		LogDir:                  cfg.logDir(),
		UsersFile:               cfg.usersFile(),
		OldPartsLifetimeSeconds: int64(cfg.OldPartsLifetime / time.Second),
		QueryLogRowsMin:         max(1, cfg.QueryLogRowsMax/5),
		Durable:                 durable,
	})
}

type userPolicy struct {
	Database string
	Tables   []tablePolicy
}

type tablePolicy struct{ Name, Filter string }

type userEntry struct {
	Name, PasswordSHA256 string
	Grants               []string
	Policies             []userPolicy
	QueryMemoryBytesMax  int64
	QueryTimeoutSeconds  int64
	QueriesPerHourMax    int64
}

func renderUsers(cfg Config, password string) ([]byte, error) {
	data := struct {
		AdminUser, PasswordSHA256 string
		QueryMemoryBytesMax       int64
		Networks                  []string
		StartQueriesMax           int
		Readers                   []userEntry
	}{
		AdminUser:           AdminUser,
		PasswordSHA256:      passwordHash(password),
		QueryMemoryBytesMax: cfg.QueryMemoryBytesMax,
		Networks:            networks(cfg.ListenHost),
		StartQueriesMax:     startQueriesMax,
	}
	for _, reader := range cfg.Readers {
		data.Readers = append(data.Readers, readerEntry(cfg, reader))
	}
	return render("users.xml", usersTemplate, data)
}

func readerEntry(cfg Config, reader Reader) userEntry {
	entry := userEntry{
		Name:                reader.Name,
		PasswordSHA256:      cmp.Or(reader.PasswordSHA256, passwordHash(reader.Password)),
		QueryMemoryBytesMax: reader.QueryMemoryBytesMax,
		QueryTimeoutSeconds: int64(reader.QueryTimeout / time.Second),
		QueriesPerHourMax:   reader.QueriesPerHourMax,
	}
	if entry.QueryMemoryBytesMax == 0 {
		entry.QueryMemoryBytesMax = cfg.QueryMemoryBytesMax
	}
	if entry.QueryTimeoutSeconds == 0 {
		entry.QueryTimeoutSeconds = int64(readerQueryTimeout / time.Second)
	}
	if len(reader.Workspaces) == 0 {
		for _, database := range reader.Databases {
			entry.Grants = append(entry.Grants, database+".*")
		}
		return entry
	}
	// A confined reader is granted exactly the tables that the policies
	// cover: a table without a workspace column would show every row.
	filter := workspaceFilter(reader.Workspaces)
	entry.Grants = append(entry.Grants, reader.Open...)
	byDatabase := map[string]int{}
	for _, table := range reader.WorkspaceTables {
		entry.Grants = append(entry.Grants, table)
		database, name, _ := strings.Cut(table, ".")
		at, ok := byDatabase[database]
		if !ok {
			at = len(entry.Policies)
			byDatabase[database] = at
			entry.Policies = append(entry.Policies, userPolicy{Database: database})
		}
		entry.Policies[at].Tables = append(entry.Policies[at].Tables, tablePolicy{Name: name, Filter: filter})
	}
	return entry
}

// workspaceFilter returns the condition of a row policy. ClickHouse reads it
// from a file, where nothing can be bound: so it is hexadecimal, in which no
// character of a workspace can end the literal.
func workspaceFilter(workspaces []string) string {
	literals := make([]string, len(workspaces))
	for i, workspace := range workspaces {
		literals[i] = "unhex('" + hex.EncodeToString([]byte(workspace)) + "')"
	}
	return "workspace IN (" + strings.Join(literals, ", ") + ")"
}

// networks says from where users may connect: from this machine when the
// listeners are on loopback, else from anywhere (the listeners then decide).
func networks(listenHost string) []string {
	if addr, err := netip.ParseAddr(listenHost); err == nil && addr.IsLoopback() {
		return []string{"127.0.0.0/8", "::1"}
	}
	return []string{"::/0"}
}

func passwordHash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

func render(name, text string, data any) ([]byte, error) {
	tmpl, err := template.New(name).Funcs(template.FuncMap{"xml": escapeXML, "host": hostOf, "port": portOf}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the template of %s: %w", name, err)
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return []byte(b.String()), nil
}

func escapeXML(text string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}

// hostOf and portOf are the parts of an address that Validate has seen.
func hostOf(address string) string { return netip.MustParseAddrPort(address).Addr().String() }
func portOf(address string) uint16 { return netip.MustParseAddrPort(address).Port() }

// adminPassword returns the password of AdminUser: the configured one, or else
// one that is made once per folder, so that clients that know it keep working
// after a restart.
func adminPassword(cfg Config) (string, error) {
	if cfg.Password != "" {
		return cfg.Password, nil
	}
	held, err := os.ReadFile(cfg.passwordFile())
	if password := strings.TrimSpace(string(held)); err == nil && password != "" {
		return password, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the engine's password: %w", err)
	}
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("making the engine's password: %w", err)
	}
	password := hex.EncodeToString(random)
	// Through a temporary file: a crash in between must not leave an empty
	// password behind.
	partial := filepath.Join(cfg.Dir, "password.partial")
	if err := os.WriteFile(partial, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing the engine's password: %w", err)
	}
	if err := os.Rename(partial, cfg.passwordFile()); err != nil {
		return "", fmt.Errorf("writing the engine's password: %w", err)
	}
	return password, nil
}
