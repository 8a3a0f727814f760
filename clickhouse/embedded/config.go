package embedded

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Config says where the engine keeps its data, what it may use and who may
// ask it. The zero value is not usable: begin with DefaultConfig.
type Config struct {
	// Dir is the engine's folder: data, logs, generated configuration and
	// the password of AdminUser. One engine per folder at a time.
	Dir string `koanf:"dir"`
	// LibraryPath is libchdb.so itself, or a folder that holds it; empty
	// means "look for it" (see FindLibrary).
	LibraryPath string `koanf:"library_path"`
	// Executable is the program that is started as the child; it must hand
	// its arguments to ChildMain when the first one is ChildCommand. Empty
	// means the running program.
	Executable string `koanf:"executable"`

	// ListenHost is the address of both listeners: an IP, not a name.
	ListenHost string `koanf:"listen_host"`
	// NativePort and HTTPPort are the ports; 0 takes any free one.
	NativePort int `koanf:"native_port"`
	HTTPPort   int `koanf:"http_port"`

	// MemoryBytesMax bounds the whole server (max_server_memory_usage).
	MemoryBytesMax int64 `koanf:"memory_bytes_max"`
	// QueryMemoryBytesMax bounds one query (max_memory_usage).
	QueryMemoryBytesMax int64 `koanf:"query_memory_bytes_max"`
	// MarkCacheBytesMax bounds the cache of index marks, which upstream
	// sizes for a server of its own (5 GiB).
	MarkCacheBytesMax int64 `koanf:"mark_cache_bytes_max"`
	// BackgroundThreads is the number of merges and mutations at a time.
	BackgroundThreads int `koanf:"background_threads"`
	// ConnectionsMax bounds the open connections of both listeners.
	ConnectionsMax int `koanf:"connections_max"`
	// QueryLogRowsMax is how many of the last queries system.query_log
	// remembers; it lives in memory and is empty after a restart.
	QueryLogRowsMax int `koanf:"query_log_rows_max"`

	// Durable makes every insert wait for the disk (fsync of the part and
	// of its folder). Off, a power cut can lose what was acknowledged.
	Durable bool `koanf:"durable"`
	// OldPartsLifetime is how long the sources of a merge stay on disk. The
	// library's own default is 0, with which a power cut right after a
	// merge can lose old rows too.
	OldPartsLifetime time.Duration `koanf:"old_parts_lifetime"`

	// KeepFreeBytes is the room on its disk that the engine leaves to others: with less,
	// inserts and merges are refused before they begin. One that finds the disk full in the
	// middle may leave a broken part, and a Kafka on the same disk cannot accept.
	KeepFreeBytes int64 `koanf:"keep_free_bytes"`

	// LogBytesMax is the size at which a log file is rotated, and LogFilesMax
	// how many rotated ones are kept.
	LogBytesMax int64 `koanf:"log_bytes_max"`
	LogFilesMax int   `koanf:"log_files_max"`

	// StartTimeout bounds the wait for both listeners, StopTimeout the wait
	// for a clean end before the child is killed. The engine itself lets
	// running queries go on for 5 s.
	StartTimeout time.Duration `koanf:"start_timeout"`
	StopTimeout  time.Duration `koanf:"stop_timeout"`

	// Readers are the users beside AdminUser; they can only read.
	// They are fixed while the engine runs.
	Readers []Reader `koanf:"readers"`

	// Password of AdminUser; empty means that one is made at the first start
	// and kept in Dir. Engines that are shards of one cluster need the same.
	Password string `koanf:"password"`
	// Clusters are those that Distributed tables of this engine can name.
	Clusters []Cluster `koanf:"clusters"`
}

// Cluster is an entry of ClickHouse's remote_servers, of one replica a shard:
// what Distributed tables read from. All engines in it have to be given the same.
type Cluster struct {
	Name string `koanf:"name"`
	// Secret is what the engines know each other by. A query that one sends to
	// another runs there as the user who asked, so that what a Reader may see
	// does not depend on where it lies.
	Secret string `koanf:"secret"`
	// Shards are their native addresses, host:port.
	Shards []string `koanf:"shards"`
}

// Reader is a user who may run SELECT on named databases and nothing else: no
// table functions, no files, no other database.
type Reader struct {
	Name     string `koanf:"name"`
	Password string `koanf:"password"`
	// PasswordSHA256 is its hash, in hexadecimal, for whoever does not know it.
	PasswordSHA256 string `koanf:"password_sha256"`
	// Databases are those the reader may read.
	Databases []string `koanf:"databases"`
	// Workspaces, if any, confines the reader to rows whose workspace column
	// is one of these, in each of WorkspaceTables.
	Workspaces []string `koanf:"workspaces"`
	// WorkspaceTables are the tables ("database.table") that have a
	// workspace column. A confined reader may read these and no others.
	WorkspaceTables []string `koanf:"workspace_tables"`
	// Open are tables and databases ("database.table", "database.*") that a confined
	// reader may read as they are: views of WorkspaceTables, which show what these do.
	Open []string `koanf:"open"`
	// QueryMemoryBytesMax bounds one query of this reader; 0 takes the
	// engine's.
	QueryMemoryBytesMax int64 `koanf:"query_memory_bytes_max"`
	// QueryTimeout bounds one query; 0 means one minute.
	QueryTimeout time.Duration `koanf:"query_timeout"`
	// QueriesPerHourMax is the quota; 0 means none.
	QueriesPerHourMax int64 `koanf:"queries_per_hour_max"`
}

// DefaultConfig returns the settings of a modest single machine: 2 GiB for
// the server, synced inserts, loopback only, any free ports. Dir is empty and
// has to be chosen.
func DefaultConfig() Config {
	return Config{
		ListenHost:          "127.0.0.1",
		MemoryBytesMax:      2 << 30,
		QueryMemoryBytesMax: 1 << 30,
		MarkCacheBytesMax:   128 << 20,
		BackgroundThreads:   4,
		ConnectionsMax:      256,
		QueryLogRowsMax:     5000,
		Durable:             true,
		OldPartsLifetime:    480 * time.Second,
		KeepFreeBytes:       256 << 20,
		LogBytesMax:         16 << 20,
		LogFilesMax:         3,
		StartTimeout:        30 * time.Second,
		StopTimeout:         10 * time.Second,
	}
}

var (
	identifier     = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`)
	passwordDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
	tableName      = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,62}\.[a-zA-Z_][a-zA-Z0-9_]{0,62}$`)
)

// AdminUser is the user with all rights; its password is made at the first
// start and kept in the engine's folder. It is not named "default": the
// library's own session, which runs the start query, is always that user and
// always without a password, so that one can come from nowhere else.
const AdminUser = "revstream"

// Validate reports every setting that cannot work, all at once.
func (c Config) Validate() error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(c.Dir == "", "dir is empty")
	_, err := netip.ParseAddr(c.ListenHost)
	refuse(err != nil, "listen_host %q is not an IP address", c.ListenHost)
	refuse(c.NativePort < 0 || c.NativePort > 65535, "native_port %d is no port", c.NativePort)
	refuse(c.HTTPPort < 0 || c.HTTPPort > 65535, "http_port %d is no port", c.HTTPPort)
	refuse(c.NativePort != 0 && c.NativePort == c.HTTPPort, "native_port and http_port are both %d", c.NativePort)
	refuse(c.MemoryBytesMax < 256<<20, "memory_bytes_max %d is below 256 MiB", c.MemoryBytesMax)
	refuse(c.QueryMemoryBytesMax <= 0 || c.QueryMemoryBytesMax > c.MemoryBytesMax,
		"query_memory_bytes_max %d is not within memory_bytes_max %d", c.QueryMemoryBytesMax, c.MemoryBytesMax)
	refuse(c.MarkCacheBytesMax <= 0 || c.MarkCacheBytesMax > c.MemoryBytesMax/2,
		"mark_cache_bytes_max %d is not within half of memory_bytes_max %d", c.MarkCacheBytesMax, c.MemoryBytesMax)
	refuse(c.BackgroundThreads < 1, "background_threads %d is below 1", c.BackgroundThreads)
	refuse(c.ConnectionsMax < 8, "connections_max %d is below 8", c.ConnectionsMax)
	refuse(c.QueryLogRowsMax < 1, "query_log_rows_max %d is below 1", c.QueryLogRowsMax)
	refuse(c.OldPartsLifetime < 0, "old_parts_lifetime %v is negative", c.OldPartsLifetime)
	refuse(c.KeepFreeBytes < 0, "keep_free_bytes %d is negative", c.KeepFreeBytes)
	refuse(c.LogBytesMax < 1<<20, "log_bytes_max %d is below 1 MiB", c.LogBytesMax)
	refuse(c.LogFilesMax < 1, "log_files_max %d is below 1", c.LogFilesMax)
	refuse(c.StartTimeout <= 0, "start_timeout %v is not positive", c.StartTimeout)
	refuse(c.StopTimeout <= 0, "stop_timeout %v is not positive", c.StopTimeout)
	seen := map[string]bool{AdminUser: true, "default": true}
	for _, reader := range c.Readers {
		refuse(seen[reader.Name], "reader %q is named twice, or as a built-in user", reader.Name)
		seen[reader.Name] = true
		if err := reader.validate(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, cluster := range c.Clusters {
		errs = append(errs, cluster.validate())
	}
	return errors.Join(errs...)
}

func (c Cluster) validate() error {
	if !identifier.MatchString(c.Name) || c.Secret == "" || len(c.Shards) == 0 {
		return fmt.Errorf("cluster %q: it needs an identifier as name, a secret and shards", c.Name)
	}
	for _, shard := range c.Shards {
		if _, err := netip.ParseAddrPort(shard); err != nil {
			return fmt.Errorf("cluster %q: shard %q is not IP:port", c.Name, shard)
		}
	}
	return nil
}

func (r Reader) validate() error {
	if !identifier.MatchString(r.Name) {
		return fmt.Errorf("reader %q: the name is not a plain identifier", r.Name)
	}
	if r.PasswordSHA256 != "" && !passwordDigest.MatchString(r.PasswordSHA256) {
		return fmt.Errorf("reader %q: password_sha256 is not 64 hexadecimal digits", r.Name)
	}
	if r.Password == "" && r.PasswordSHA256 == "" {
		return fmt.Errorf("reader %q has no password", r.Name)
	}
	if len(r.Databases) == 0 && len(r.WorkspaceTables) == 0 {
		return fmt.Errorf("reader %q may read nothing", r.Name)
	}
	for _, database := range r.Databases {
		if !identifier.MatchString(database) || database == "default" {
			return fmt.Errorf("reader %q: database %q cannot be granted", r.Name, database)
		}
	}
	for _, table := range r.WorkspaceTables {
		if !tableName.MatchString(table) {
			return fmt.Errorf("reader %q: %q is not database.table", r.Name, table)
		}
	}
	for _, open := range r.Open {
		if !tableName.MatchString(strings.Replace(open, ".*", ".all", 1)) {
			return fmt.Errorf("reader %q: %q is neither database.table nor database.*", r.Name, open)
		}
	}
	if (len(r.Workspaces) > 0) != (len(r.WorkspaceTables) > 0) {
		return fmt.Errorf("reader %q: workspaces and workspace_tables go together", r.Name)
	}
	if r.QueryMemoryBytesMax < 0 || r.QueryTimeout < 0 || r.QueriesPerHourMax < 0 {
		return fmt.Errorf("reader %q has a negative limit", r.Name)
	}
	return nil
}

// The files of an engine's folder.
func (c Config) dataDir() string      { return filepath.Join(c.Dir, "data") }
func (c Config) logDir() string       { return filepath.Join(c.Dir, "logs") }
func (c Config) configFile() string   { return filepath.Join(c.Dir, "config.xml") }
func (c Config) usersFile() string    { return filepath.Join(c.Dir, "users.xml") }
func (c Config) passwordFile() string { return filepath.Join(c.Dir, "password") }
func (c Config) portsFile() string    { return filepath.Join(c.Dir, "ports.tsv") }
func (c Config) lockFile() string     { return filepath.Join(c.Dir, "revstream.lock") }
