-- What subscribers to alerts are told, were told, or could not be told: the outbox and
-- the log in one. Each change of a notification is a row of it, and the row of the
-- highest revision is the one. `previous` leads from a notification to the one before it
-- about the same subject, so that what a subscriber believes is the last of the chain.
CREATE TABLE IF NOT EXISTS notifications
(
    id          String,
    workspace   LowCardinality(String),
    alert       LowCardinality(String),
    -- What it is about, and the ledger's group of that; a threshold has no group.
    subject     String,
    fact_group  String,
    previous    String,
    type        LowCardinality(String),
    -- What is believed of the subject, as the ledger has it: minor units of money,
    -- 1/10,000 of them of MRR. stands is false if nothing is any more.
    stands      Bool,
    amount      Int64,
    created_at  DateTime64(6, 'UTC'),
    revision    Int64,
    -- pending, delivered, dead, or dropped because the alert ended.
    state       LowCardinality(String),
    -- When it is to be sent, if it is pending.
    next_at     DateTime64(6, 'UTC'),
    -- The attempts to send it: one element each. A status of 0 is no answer.
    tried_at    Array(DateTime64(6, 'UTC')),
    statuses    Array(UInt16),
    errors      Array(String),
    -- How many of the attempts count: those since somebody asked for another delivery.
    counted     UInt16,
    body        String CODEC(ZSTD(1))
)
ENGINE = {{.Engine "notifications" "ReplacingMergeTree" "revision"}}
ORDER BY (workspace, alert, id)
TTL toDateTime(created_at) + toIntervalDay(90)
SETTINGS index_granularity = 256, {{.Settings}};

-- Until when everything was looked at. A new leader goes on from there.
CREATE TABLE IF NOT EXISTS alert_progress
(
    id         UInt8,
    through    DateTime64(6, 'UTC'),
    written_at DateTime64(6, 'UTC')
)
ENGINE = {{.Engine "alert_progress" "ReplacingMergeTree" "written_at"}}
ORDER BY id
SETTINGS {{.Settings}};
