-- Webhook deliveries as they came in, to be found, shown and read again: nothing that
-- is asked about revenue rests on them. A record may come twice and a replay replaces
-- it, so the row of the highest revision is the one. `record` is what Kafka had; the
-- other columns are for finding it. What is older than clickhouse.deliveries_retention
-- is deleted: the TTL is set by every migration.
CREATE TABLE IF NOT EXISTS deliveries
(
    id           String,
    workspace    LowCardinality(String),
    endpoint     LowCardinality(String),
    provider     LowCardinality(String),
    received_at  DateTime64(6, 'UTC'),
    revision     Int64,
    -- Why it was refused; empty if it verified.
    refusal      LowCardinality(String),
    -- Its events, one element each.
    event_ids    Array(String),
    types        Array(LowCardinality(String)),
    versions     Array(LowCardinality(String)),
    outcomes     Array(LowCardinality(String)),
    -- When each happened, as the provider says; 1970 if it does not.
    happened_at  Array(DateTime64(6, 'UTC')),
    -- What its statements name: objects, payments, invoices, subscriptions, customers.
    names        Array(String),
    statements   UInt32,
    bytes        UInt32,
    record       String CODEC(ZSTD(3)),

    INDEX by_id id TYPE bloom_filter GRANULARITY 4,
    INDEX by_event event_ids TYPE bloom_filter GRANULARITY 4,
    INDEX by_name names TYPE bloom_filter GRANULARITY 4
)
ENGINE = {{.Engine "deliveries" "ReplacingMergeTree" "revision"}}
PARTITION BY toMonday(received_at)
ORDER BY (workspace, endpoint, received_at, id)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 0, {{.Settings}};
