// Package control is the control plane: workspaces, API keys, webhook endpoints, alerts
// and their audit, as they stand in the compacted topic behind a stream.Table.
// Every node materialises all of it in memory, so accepting revenue needs no
// database, and what one node changes every node sees.
//
// It must never know HTTP, the statements of revenue, or ClickHouse.
//
// How soon a change is seen: on the node that made it, when the call returns. On
// another node, within the moment it takes to read the topic; and whoever is not
// found there in memory (a key, an endpoint) is looked for once more after
// everything acknowledged has been read, so what has been created is found at
// once. A revocation is in force on another node as soon as that node has read
// it, and on a node that cannot reach Kafka when it can again.
//
// What is secret: of API keys only a SHA-256 hash is kept, and the key itself is
// returned once, by CreateKey. The signing secrets of webhook endpoints have to be
// kept as they are, for they are needed to compute signatures; they lie in the
// control topic and in the local copies of it (readable by the owner only) in
// clear. Access to that topic is access to those secrets: guard it with the
// broker's ACLs and disk encryption. In memory they are of type Secret, which does
// not print.
package control
