{{- define "columns"}}
    topic_id          LowCardinality(String),
    slice             UInt16,
    epoch             UInt64,
    offset            Int64,
    row               UInt64,
    sign              Int8,
    known_at          DateTime64(6, 'UTC'),
    workspace         LowCardinality(String),
    fact_group        String,
    fact              String,
    object_id         String,
    version           Int64,
    family            LowCardinality(String),
    kind              LowCardinality(String),
    provider          LowCardinality(String),
    account           LowCardinality(String),
    integration       LowCardinality(String),
    livemode          Bool,
    test_clock        String,
    live              Bool,
    occurred_at       DateTime64(6, 'UTC'),
    ends_at           DateTime64(6, 'UTC'),
    received_at       DateTime64(6, 'UTC'),
    amount            Int64,
    tax               Int64,
    fee               Int64,
    discount          Int64,
    currency          LowCardinality(String),
    recurring         Bool,
    mrr               Int64,
    subscriptions     Int64,
    customers         Int64,
    reason            LowCardinality(String),
    customer          String,
    customer_name     String,
    country           LowCardinality(String),
    subscription      String,
    invoice           String,
    payment           String,
    product           String,
    plan              String,
    quantity          Int64,
    interval          LowCardinality(String),
    interval_count    Int64,
    payment_method    String,
    message           String,
    offer             String,
    contact           String,
    campaign          String,
    source            String,
    visitor           String,
    session           String,
    attribution_type  LowCardinality(String),
    external_id       String,
    imported          Bool,
    metadata          String
{{- end}}
{{- define "names" -}}
topic_id, slice, epoch, offset, row, sign, known_at, workspace, fact_group, fact, object_id, version, family, kind,
    provider, account, integration, livemode, test_clock, live, occurred_at, ends_at, received_at, amount, tax, fee, discount,
    currency, recurring, mrr, subscriptions, customers, reason, customer, customer_name, country, subscription,
    invoice, payment, product, plan, quantity, interval, interval_count, payment_method, message, offer, contact,
    campaign, source, visitor, session, attribution_type, external_id, imported, metadata
{{- end}}
-- What is believed: +1 rows that began to be, -1 rows that ceased to be, each
-- at known_at. Nothing here is updated or deleted. An ends_at of 1970 is none.
CREATE TABLE IF NOT EXISTS ledger
(
{{- template "columns"}},

    CONSTRAINT fenced CHECK epoch = {{.FenceOf "slice"}}
)
ENGINE = {{.Engine "ledger" "MergeTree"}}
PRIMARY KEY (workspace, fact_group)
ORDER BY (workspace, fact_group, known_at)
SETTINGS index_granularity = 1024, {{.Settings}};

-- The ledger in order of time: what ranges, edges of ranges and listings read. A
-- page or an edge is a few rows of each kind, so granules are small.
CREATE TABLE IF NOT EXISTS entries
(
{{- template "columns"}},

    -- Whom distinct counts count, as a hash that is as wide as the row ids that the
    -- ledger rests on: of movements the customer, which is their group; of lifecycle
    -- entries the subscription, and where their source did not name one its customer,
    -- and without either the entry itself. Reading it costs a quarter of the names.
    subject UInt64 MATERIALIZED multiIf(
        family = 'state', xxh3(fact_group),
        family != 'lifecycle', 0,
        subscription != '', xxh3(provider, account, subscription),
        customer != '', xxh3(provider, account, '', customer),
        xxh3(row))
)
ENGINE = {{.Engine "entries" "MergeTree"}}
ORDER BY (workspace, live, kind, occurred_at, row)
SETTINGS index_granularity = 1024, {{.Settings}};

CREATE MATERIALIZED VIEW IF NOT EXISTS ledger_to_entries TO entries AS
SELECT {{template "names"}}
FROM ledger;
