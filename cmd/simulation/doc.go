// Package simulation plays made-up businesses against a running revstream and
// holds its answers against a ledger of its own.
//
// A Script invents stories: customers who buy, subscribe, upgrade, cancel and
// get refunds over years, each through one door (one of the APIs or the Stripe
// webhook). A story has two sides that are written side by side and meet nowhere
// else: what is booked in the Truth, which is plain sums, and the deliveries that
// tell the service of it, which a courier carries shuffled, repeated and retried
// as providers do. When the service says that it has everything, its answers are
// compared with the Truth to the cent.
//
// The package shares no code with the rules of the service: of ingest/revenue it
// uses nothing, so that an error there cannot hide itself.
package simulation
