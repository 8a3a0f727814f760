package embedded

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config says where the broker listens, where it keeps its log, and how much
// of it. Begin with DefaultConfig.
type Config struct {
	// Addr is where the broker listens and what it tells its clients to
	// connect to: a loopback IP and a port, 0 for any free one. It knows no
	// passwords, so it is never reachable from another machine.
	Addr string `koanf:"addr"`
	// Dir is the broker's folder. One broker per folder at a time.
	Dir string `koanf:"dir"`
	// Partitions is the count for topics that are created without one.
	Partitions int32 `koanf:"partitions"`

	// Durable makes every acknowledgement wait for the disk. Off, a power
	// cut can lose what was acknowledged; a kill of the process cannot.
	Durable bool `koanf:"durable"`

	// LogBytesMax is the size of a topic beyond which Trim deletes what has
	// been consumed. The broker reads its whole log into memory when it
	// starts, so this is a budget of memory too.
	LogBytesMax int64 `koanf:"log_bytes_max"`
	// SegmentBytes is the size of a log file; only whole files are given
	// back by Trim. A topic can be created with another.
	SegmentBytes int64 `koanf:"segment_bytes"`
	// CompactBytesMin is how much the compacted topics hold together before
	// they are compacted for the first time; then at each doubling.
	CompactBytesMin int64 `koanf:"compact_bytes_min"`
	// MaintenanceInterval is how often the need to compact is looked at.
	MaintenanceInterval time.Duration `koanf:"maintenance_interval"`
}

// DefaultConfig returns the settings of a single small node: any free port,
// four partitions, synced acknowledgements, 256 MiB of log. Dir is empty and
// has to be chosen.
func DefaultConfig() Config {
	return Config{
		Addr:                "127.0.0.1:0",
		Partitions:          4,
		Durable:             true,
		LogBytesMax:         256 << 20,
		SegmentBytes:        8 << 20,
		CompactBytesMin:     16 << 20,
		MaintenanceInterval: time.Minute,
	}
}

// Validate reports every setting that cannot work, all at once.
func (c Config) Validate() error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	addr, err := netip.ParseAddrPort(c.Addr)
	refuse(err != nil, "addr %q is not ip:port", c.Addr)
	refuse(err == nil && !addr.Addr().IsLoopback(), "addr %q is not a loopback address", c.Addr)
	refuse(c.Dir == "", "dir is empty")
	refuse(c.Partitions < 1, "partitions %d is below 1", c.Partitions)
	refuse(c.SegmentBytes < 1<<20, "segment_bytes %d is below 1 MiB", c.SegmentBytes)
	refuse(c.LogBytesMax < 2*c.SegmentBytes*int64(c.Partitions),
		"log_bytes_max %d is below two segments of %d bytes for each of %d partitions", c.LogBytesMax, c.SegmentBytes, c.Partitions)
	refuse(c.CompactBytesMin < 1, "compact_bytes_min %d is not positive", c.CompactBytesMin)
	refuse(c.MaintenanceInterval <= 0, "maintenance_interval %v is not positive", c.MaintenanceInterval)
	return errors.Join(errs...)
}
