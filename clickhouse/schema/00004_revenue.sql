{{- define "bounded" -}}
toDateTime(least(greatest(occurred_at, toDateTime64(0, 6, 'UTC')), toDateTime64(4294944000, 6, 'UTC')), 'UTC')
{{- end}}
{{- define "sums"}}
    sum(l.sign) AS entries,
    sum(l.sign * (l.amount > 0)) AS positive,
    sum(l.sign * l.amount) AS amount,
    sum(l.sign * l.tax) AS tax,
    sum(l.sign * l.fee) AS fee,
    sum(l.sign * l.discount) AS discount
{{- end}}
{{- define "measures"}}
    entries   Int64,
    positive  Int64,
    amount    Int64,
    tax       Int64,
    fee       Int64,
    discount  Int64
{{- end}}
-- Money and lifecycle by hour. The slice is part of the key, so that each cell
-- has one writer, who can make it equal to the ledger. Amounts are signed flows
-- in minor units; `positive` counts entries with an amount above zero. What lies
-- beyond 2106 counts in the last hour that a DateTime can name.
CREATE TABLE IF NOT EXISTS revenue_hourly
(
    workspace LowCardinality(String),
    live      Bool,
    hour      DateTime('UTC'),
    currency  LowCardinality(String),
    kind      LowCardinality(String),
    provider  LowCardinality(String),
    recurring Bool,
    slice     UInt16,
{{- template "measures"}}
)
ENGINE = {{.Engine "revenue_hourly" "SummingMergeTree"}}
ORDER BY (workspace, live, hour, currency, kind, provider, recurring, slice)
SETTINGS {{.Settings}};

CREATE MATERIALIZED VIEW IF NOT EXISTS ledger_to_revenue_hourly TO revenue_hourly AS
SELECT
    workspace,
    live,
    toStartOfHour({{template "bounded"}}) AS hour,
    currency,
    kind,
    provider,
    recurring,
    slice,
{{- template "sums"}}
FROM ledger AS l
WHERE family IN ('cash', 'lifecycle')
GROUP BY workspace, live, hour, currency, kind, provider, recurring, slice;

-- The same by UTC day.
CREATE TABLE IF NOT EXISTS revenue_daily
(
    workspace LowCardinality(String),
    live      Bool,
    day       Date,
    currency  LowCardinality(String),
    kind      LowCardinality(String),
    provider  LowCardinality(String),
    recurring Bool,
    slice     UInt16,
{{- template "measures"}}
)
ENGINE = {{.Engine "revenue_daily" "SummingMergeTree"}}
ORDER BY (workspace, live, day, currency, kind, provider, recurring, slice)
SETTINGS {{.Settings}};

CREATE MATERIALIZED VIEW IF NOT EXISTS ledger_to_revenue_daily TO revenue_daily AS
SELECT
    workspace,
    live,
    toDate({{template "bounded"}}) AS day,
    currency,
    kind,
    provider,
    recurring,
    slice,
{{- template "sums"}}
FROM ledger AS l
WHERE family IN ('cash', 'lifecycle')
GROUP BY workspace, live, day, currency, kind, provider, recurring, slice;

-- Steps of MRR by UTC day: MRR at a time is the sum of all steps up to it. mrr
-- is in 1/10,000 minor units.
CREATE TABLE IF NOT EXISTS mrr_daily
(
    workspace     LowCardinality(String),
    live          Bool,
    day           Date,
    currency      LowCardinality(String),
    kind          LowCardinality(String),
    provider      LowCardinality(String),
    slice         UInt16,
    mrr           Int64,
    subscriptions Int64,
    customers     Int64,
    entries       Int64
)
ENGINE = {{.Engine "mrr_daily" "SummingMergeTree"}}
ORDER BY (workspace, live, day, currency, kind, provider, slice)
SETTINGS {{.Settings}};

CREATE MATERIALIZED VIEW IF NOT EXISTS ledger_to_mrr_daily TO mrr_daily AS
SELECT
    workspace,
    live,
    toDate({{template "bounded"}}) AS day,
    currency,
    kind,
    provider,
    slice,
    sum(l.sign * l.mrr) AS mrr,
    sum(l.sign * l.subscriptions) AS subscriptions,
    sum(l.sign * l.customers) AS customers,
    sum(l.sign) AS entries
FROM ledger AS l
WHERE family = 'state'
GROUP BY workspace, live, day, currency, kind, provider, slice;
