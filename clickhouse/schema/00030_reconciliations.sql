-- That the money which a provider says it moved was compared with the ledger, one row
-- for each attempt when it begins and one when it ends. Whoever began first does it.
CREATE TABLE IF NOT EXISTS reconciliations
(
    workspace   LowCardinality(String),
    endpoint    LowCardinality(String),
    -- The day on which it was due, and when the row was written.
    day         Date,
    at          DateTime64(6, 'UTC'),
    runner      String,
    finished    Bool,
    -- What was compared, half open, and how many totals.
    since       DateTime64(6, 'UTC'),
    until       DateTime64(6, 'UTC'),
    totals      UInt32,
    -- JSON, as GET /v1/sources has it.
    differences String,
    -- Why it could not be done; empty if it could.
    failure     String
)
ENGINE = {{.Engine "reconciliations" "MergeTree"}}
ORDER BY (workspace, endpoint, day, at)
TTL toDateTime(at) + toIntervalDay(400)
SETTINGS {{.Settings}};
