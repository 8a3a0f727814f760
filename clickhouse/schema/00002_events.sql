-- Every statement that was accepted, with where it came from. At least once:
-- a repeated delivery is another row. `statement` is the record as it was in
-- Kafka; the other columns are for finding it. Groups are read by the thousand at
-- random, each for a row or two: granules are small.
CREATE TABLE IF NOT EXISTS events
(
    topic_id    LowCardinality(String),
    slice       UInt16,
    epoch       UInt64,
    offset      Int64 CODEC(Delta, LZ4),
    workspace   LowCardinality(String),
    fact_group  String,
    group_hash  UInt64,
    fact        String,
    kind        LowCardinality(String),
    provider    LowCardinality(String),
    version     Int64,
    deleted     Bool,
    occurred_at DateTime64(6, 'UTC'),
    received_at DateTime64(6, 'UTC'),
    statement   String CODEC(ZSTD(1)),

    CONSTRAINT fenced CHECK epoch = {{.FenceOf "slice"}},

    -- Where each slice has come to, without reading the table.
    PROJECTION high_water
    (
        SELECT topic_id, slice, max(offset), max(epoch)
        GROUP BY topic_id, slice
    )
)
ENGINE = {{.Engine "events" "MergeTree"}}
PRIMARY KEY (workspace, fact_group)
ORDER BY (workspace, fact_group, fact, version)
SETTINGS index_granularity = 512, {{.Settings}};
