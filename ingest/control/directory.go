package control

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"revstream/ingest/stream"
)

// Directory is the control plane as this node knows it. It is safe for concurrent
// use.
type Directory struct {
	cfg     Config
	table   *stream.Table
	log     *zap.Logger
	metrics *metrics
	now     func() time.Time // UTC, whole microseconds
	misses  misses

	// changing lets this node make one change at a time, so that what a change was
	// checked against still holds when it is written. Nodes do not exclude each
	// other: of two changes to one thing the later stands, and both are in the audit.
	changing *semaphore.Weighted

	mu         sync.RWMutex
	workspaces map[string]Workspace // by ID, which is the slug
	keys       map[string]heldKey   // by ID
	keyIDs     map[hash]string
	endpoints  map[string]Endpoint // by ID

	alerts      map[string]Alert      // by ID
	alertOrders map[string]AlertOrder // by ID
}

type heldKey struct {
	Key
	hash hash
}

// The prefixes of the keys in the table.
const (
	workspacePrefix = "workspace/"
	keyPrefix       = "key/"
	endpointPrefix  = "endpoint/"
	auditPrefix     = "audit/"

	alertPrefix      = "alert/"
	alertOrderPrefix = "alert_order/"
)

// recordVersion is the version of the JSON in the table.
const recordVersion = 1

// An Option changes how a directory is opened.
type Option func(*options)

type options struct {
	cfg Config
	log *zap.Logger
	reg prometheus.Registerer
	now func() time.Time
}

// WithConfig sets limits other than the default ones.
func WithConfig(cfg Config) Option { return func(o *options) { o.cfg = cfg } }

// WithLog sets the log.
func WithLog(log *zap.Logger) Option { return func(o *options) { o.log = log } }

// WithRegisterer registers the metrics.
func WithRegisterer(reg prometheus.Registerer) Option { return func(o *options) { o.reg = reg } }

// WithClock sets the clock that keys expire by.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Open reads the control plane from its table, as of now, and follows it from then
// on. The table stays the caller's to close. Errors: stream.ErrBusy if Kafka does
// not answer; others are of the local disk, of the configuration, or of metrics
// that are registered already.
func Open(ctx context.Context, table *stream.Table, opts ...Option) (*Directory, error) {
	o := options{cfg: DefaultConfig(), log: zap.NewNop(), now: time.Now}
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	d := &Directory{
		cfg: o.cfg, table: table, log: o.log.Named("control"), metrics: newMetrics(), changing: semaphore.NewWeighted(1),
		now:        func() time.Time { return o.now().UTC().Truncate(time.Microsecond) },
		workspaces: map[string]Workspace{}, keys: map[string]heldKey{}, keyIDs: map[hash]string{}, endpoints: map[string]Endpoint{},
		alerts: map[string]Alert{}, alertOrders: map[string]AlertOrder{},
	}
	var err error
	if d.misses.absent, err = lru.New[string, struct{}](o.cfg.MissesKept); err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	d.misses.configure(o.cfg, table.Refresh)
	if err := d.metrics.register(o.reg); err != nil {
		return nil, fmt.Errorf("open control plane: register metrics: %w", err)
	}
	if err := table.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	if err := table.Watch(d.apply); err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	return d, nil
}

// Refresh reads everything that was acknowledged before the call, so that what
// other nodes have changed is seen here. Errors: stream.ErrBusy.
func (d *Directory) Refresh(ctx context.Context) error {
	if err := d.table.Refresh(ctx); err != nil {
		return fmt.Errorf("refresh control plane: %w", err)
	}
	return nil
}

// apply takes a record of the table into memory; nil removes what it was. What
// cannot be read is removed too: a key or endpoint whose present state is unknown
// must not be trusted on its former one.
func (d *Directory) apply(key string, value []byte) {
	var err error
	switch kind, id, _ := strings.Cut(key, "/"); kind + "/" {
	case workspacePrefix:
		err = d.applyWorkspace(id, value)
	case keyPrefix:
		err = d.applyKey(id, value)
	case endpointPrefix:
		err = d.applyEndpoint(id, value)
	case alertPrefix:
		err = d.applyAlert(id, value)
	case alertOrderPrefix:
		err = d.applyAlertOrder(id, value)
	case auditPrefix: // read from the table when asked for
	default:
		err = errors.New("unknown kind of record")
	}
	if err != nil {
		d.metrics.unreadable.Inc()
		d.log.Error("record of the control plane is ignored", zap.String("key", key), zap.Error(err))
	}
}

func (d *Directory) applyWorkspace(id string, value []byte) error {
	var w Workspace
	present, err := decode(value, &w)
	if present && w.ID != id {
		present, err = false, errors.New("the workspace is another")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.workspaces, id)
	if present {
		d.workspaces[id] = w
	}
	return err
}

func (d *Directory) applyKey(id string, value []byte) error {
	var stored storedKey
	present, err := decode(value, &stored)
	digest, decodeErr := hex.DecodeString(stored.Hash)
	if present && (stored.ID != id || decodeErr != nil || len(digest) != len(hash{})) {
		present, err = false, errors.New("the key is another, or has no hash")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if held, known := d.keys[id]; known {
		delete(d.keyIDs, held.hash)
		delete(d.keys, id)
	}
	if present {
		held := heldKey{stored.Key, hash(digest)}
		d.keys[id] = held
		d.keyIDs[held.hash] = id
		d.misses.absent.Remove("key " + string(digest))
	}
	return err
}

func (d *Directory) applyEndpoint(id string, value []byte) error {
	var stored storedEndpoint
	present, err := decode(value, &stored)
	if present && stored.ID != id {
		present, err = false, errors.New("the endpoint is another")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.endpoints, id)
	if present {
		d.endpoints[id] = stored.endpoint()
		d.misses.absent.Remove("endpoint " + id)
	}
	return err
}

// record is the envelope of everything in the table.
type record struct {
	Version int             `json:"v"`
	Value   json.RawMessage `json:"value"`
}

func encode(value any) ([]byte, error) {
	inner, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode record of the control plane: %w", err)
	}
	return json.Marshal(record{recordVersion, inner})
}

// decode reads a record, and reports whether there is one.
func decode(text []byte, value any) (present bool, err error) {
	if text == nil {
		return false, nil
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return false, err
	}
	if r.Version != recordVersion {
		return false, fmt.Errorf("version %d is not read here", r.Version)
	}
	if err := json.Unmarshal(r.Value, value); err != nil {
		return false, err
	}
	return true, nil
}

// step is one change: what to write, and what to say of it in the audit.
type step struct {
	action, workspace string
	key               string
	value             any
	detail            map[string]string
}

// change makes one change. It is prepared against everything that was
// acknowledged before it. The audit is written first: it may tell of a change
// that then failed, never keep silent about one that was made.
func (d *Directory) change(ctx context.Context, by Actor, prepare func() (step, error)) error {
	if err := d.changing.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("%w: an earlier change is being made: %w", stream.ErrBusy, err)
	}
	defer d.changing.Release(1)
	err := d.tryChange(ctx, by, prepare)
	if errors.Is(err, stream.ErrBusy) {
		d.metrics.changeFailures.Inc()
	}
	return err
}

func (d *Directory) tryChange(ctx context.Context, by Actor, prepare func() (step, error)) error {
	if err := by.validate(); err != nil {
		return err
	}
	if err := d.table.Refresh(ctx); err != nil {
		return err
	}
	next, err := prepare()
	if err != nil {
		return err
	}
	value, err := encode(next.value)
	if err != nil {
		return err
	}
	if err := d.writeAudit(ctx, by, next); err != nil {
		return err
	}
	if err := d.table.Put(ctx, next.key, value); err != nil {
		return err
	}
	d.log.Info("changed", zap.String("action", next.action), zap.String("subject", next.key),
		zap.String("workspace", next.workspace), zap.String("by", string(by)))
	return nil
}
