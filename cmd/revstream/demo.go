package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"

	"revstream/clickhouse"
	engine "revstream/clickhouse/embedded"
	"revstream/connectors/stripe"
	"revstream/ingest/control"
)

// demoWorkspace is the workspace that the first start creates, for the tour. It is
// also the name of the ClickHouse user who may read it.
const demoWorkspace = "demo"

// demoActor is who creates it, in the audit.
const demoActor control.Actor = "revstream run"

// demo cares for the workspace demo and its keys. The keys are kept in demo.env
// alone, and made anew if they are not there or no longer good.
type demo struct {
	values   map[string]string // of demo.env; URLs and ports are of the last start
	password string            // of the ClickHouse user
	endpoint string            // id of the Stripe endpoint
}

// prepareDemo reads what earlier starts have left, or returns nil if the service
// is on a Kafka of its own: there, workspaces are for the operator to create.
func prepareDemo(config Config) (*demo, error) {
	if !config.embeddedKafka() {
		return nil, nil
	}
	values, err := readDemoFile(config.DataDir)
	if err != nil {
		return nil, err
	}
	d := &demo{values: values}
	if dsn, err := url.Parse(values[demoClickHouseDSN]); err == nil && dsn.User != nil {
		d.password, _ = dsn.User.Password()
	}
	if d.password == "" {
		d.password = randomText()
	}
	return d, nil
}

// randomText is 128 random bits as hexadecimal digits.
func randomText() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	return hex.EncodeToString(random[:])
}

// reader is the user of the embedded ClickHouse who sees the rows of the workspace
// and nothing else.
func (d *demo) reader(database string) engine.Reader {
	reader := confinedReader(demoWorkspace, demoWorkspace, database)
	reader.Password = d.password
	return reader
}

// confinedReader is a user of the embedded ClickHouse who sees the rows of a workspace,
// in tables and views, and nothing else.
func confinedReader(name, workspace, database string) engine.Reader {
	reader := engine.Reader{Name: name, Workspaces: []string{workspace}}
	for _, table := range append([]string{"events", "ledger"}, clickhouse.DerivedTables()...) {
		reader.WorkspaceTables = append(reader.WorkspaceTables, database+"."+table)
	}
	reader.Open = []string{database + ".fx_rates", clickhouse.ViewsDatabase(database) + ".*"}
	return reader
}

// ensure creates the workspace and what it lacks of keys and endpoint.
func (d *demo) ensure(ctx context.Context, directory *control.Directory) error {
	if _, known := directory.Workspace(demoWorkspace); !known {
		_, err := directory.CreateWorkspace(ctx, demoActor, control.NewWorkspace{Slug: demoWorkspace, Name: "Demo"})
		if err != nil && !errors.Is(err, control.ErrExists) {
			return err
		}
	}
	secret := control.NewKey{
		Workspace: demoWorkspace, Name: "demo secret key",
		Scopes: []control.Scope{control.ScopeRevenueWrite, control.ScopeRead, control.ScopeAdmin},
	}
	if err := d.ensureKey(ctx, directory, demoSecretKey, secret); err != nil {
		return err
	}
	public := control.NewKey{Workspace: demoWorkspace, Name: "demo public key", Public: true}
	if err := d.ensureKey(ctx, directory, demoPublicKey, public); err != nil {
		return err
	}
	return d.ensureEndpoint(ctx, directory)
}

func (d *demo) ensureKey(ctx context.Context, directory *control.Directory, variable string, wanted control.NewKey) error {
	if held := d.values[variable]; held != "" {
		key, err := directory.Authenticate(held)
		if err == nil && key.Workspace == demoWorkspace {
			return nil
		}
		if err != nil && !errors.Is(err, control.ErrUnauthenticated) {
			return fmt.Errorf("looking up the demo key: %w", err)
		}
	}
	_, text, err := directory.CreateKey(ctx, demoActor, wanted)
	if err != nil {
		return err
	}
	d.values[variable] = text.Reveal()
	return nil
}

func (d *demo) ensureEndpoint(ctx context.Context, directory *control.Directory) error {
	id, secret := path.Base(d.values[demoStripeEndpoint]), control.NewSecret(d.values[demoStripeSecret])
	endpoint, err := directory.FindEndpoint(id)
	if err == nil && endpoint.Workspace == demoWorkspace && slices.Contains(endpoint.Secrets, secret) {
		d.endpoint = id
		return nil
	}
	if err != nil && !errors.Is(err, control.ErrUnknown) {
		return fmt.Errorf("looking up the demo endpoint: %w", err)
	}
	secret = control.NewSigningSecret()
	endpoint, err = directory.CreateEndpoint(ctx, demoActor, control.NewEndpoint{
		Workspace: demoWorkspace, Provider: stripe.Provider, Secrets: []control.Secret{secret},
	})
	if err != nil {
		return err
	}
	d.endpoint, d.values[demoStripeSecret] = endpoint.ID, secret.Reveal()
	return nil
}

// webhookURL is where a provider sends the deliveries of an endpoint.
func webhookURL(base, provider, endpoint string) string {
	return base + "/webhooks/" + provider + "/" + endpoint
}

// write refreshes demo.env with where everything is now.
func (d *demo) write(folder string, p places) (string, error) {
	d.values[demoURL] = p.URL
	d.values[demoStripeEndpoint] = webhookURL(p.URL, stripe.Provider, d.endpoint)
	delete(d.values, demoClickHouseDSN)
	delete(d.values, demoClickHouseHTTP)
	if p.ClickHouseHTTP != "" { // the user exists in the embedded engine only
		dsn := url.URL{Scheme: "clickhouse", User: url.UserPassword(demoWorkspace, d.password), Host: p.ClickHouse[0], Path: "/" + p.Database}
		d.values[demoClickHouseDSN] = dsn.String()
		if over, err := url.Parse(p.ClickHouseHTTP); err == nil {
			over.User = dsn.User
			d.values[demoClickHouseHTTP] = over.String()
		}
	}
	return writeDemoFile(folder, d.values)
}
