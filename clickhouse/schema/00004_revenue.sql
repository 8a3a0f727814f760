{{- define "bounded" -}}
toDateTime(least(greatest(occurred_at, toDateTime64(0, 6, 'UTC')), toDateTime64(4294944000, 6, 'UTC')), 'UTC')
{{- end}}
{{- define "measures"}}
    entries   Int64,
    positive  Int64,
    amount    Int64,
    tax       Int64,
    fee       Int64,
    discount  Int64
{{- end}}
{{- define "totals"}}
    sum(s.entries) AS entries,
    sum(s.positive) AS positive,
    sum(s.amount) AS amount,
    sum(s.tax) AS tax,
    sum(s.fee) AS fee,
    sum(s.discount) AS discount
{{- end}}
-- Money and lifecycle by hour, UTC day and UTC month. The slice is part of the key,
-- so that each cell has one writer, who can make it equal to the ledger. Amounts are
-- signed flows in minor units; `positive` counts entries with an amount above zero.
-- What lies beyond 2106 counts in the last hour that a DateTime can name. The
-- currency goes before days and months, because whole months serve amounts that need
-- no exchange rate, and days those that do.
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
SETTINGS index_granularity = 1024, {{.Settings}};

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
ORDER BY (workspace, live, currency, day, kind, provider, recurring, slice)
SETTINGS index_granularity = 1024, {{.Settings}};

CREATE TABLE IF NOT EXISTS revenue_monthly
(
    workspace LowCardinality(String),
    live      Bool,
    month     Date,
    currency  LowCardinality(String),
    kind      LowCardinality(String),
    provider  LowCardinality(String),
    recurring Bool,
    slice     UInt16,
{{- template "measures"}}
)
ENGINE = {{.Engine "revenue_monthly" "SummingMergeTree"}}
ORDER BY (workspace, live, currency, month, kind, provider, recurring, slice)
SETTINGS index_granularity = 1024, {{.Settings}};

-- What each insert comes to by hour, kept nowhere: the views of the three rollups
-- then add up some cells instead of all rows. They are no views of one another, since
-- a repair of one must not change the next.
CREATE TABLE IF NOT EXISTS revenue_steps
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
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS revenue_steps_to_hourly TO revenue_hourly AS
SELECT workspace, live, hour, currency, kind, provider, recurring, slice, entries, positive, amount, tax, fee, discount
FROM revenue_steps;

CREATE MATERIALIZED VIEW IF NOT EXISTS revenue_steps_to_daily TO revenue_daily AS
SELECT
    workspace,
    live,
    toDate(s.hour) AS day,
    currency,
    kind,
    provider,
    recurring,
    slice,
{{- template "totals"}}
FROM revenue_steps AS s
GROUP BY workspace, live, day, currency, kind, provider, recurring, slice;

CREATE MATERIALIZED VIEW IF NOT EXISTS revenue_steps_to_monthly TO revenue_monthly AS
SELECT
    workspace,
    live,
    toStartOfMonth(s.hour) AS month,
    currency,
    kind,
    provider,
    recurring,
    slice,
{{- template "totals"}}
FROM revenue_steps AS s
GROUP BY workspace, live, month, currency, kind, provider, recurring, slice;

-- Last, so that no row is added up before all rollups would take it.
CREATE MATERIALIZED VIEW IF NOT EXISTS ledger_to_revenue_steps TO revenue_steps AS
SELECT
    workspace,
    live,
    toStartOfHour({{template "bounded"}}) AS hour,
    currency,
    kind,
    provider,
    recurring,
    slice,
    sum(l.sign) AS entries,
    sum(l.sign * (l.amount > 0)) AS positive,
    sum(l.sign * l.amount) AS amount,
    sum(l.sign * l.tax) AS tax,
    sum(l.sign * l.fee) AS fee,
    sum(l.sign * l.discount) AS discount
FROM ledger AS l
WHERE family IN ('cash', 'lifecycle')
GROUP BY workspace, live, hour, currency, kind, provider, recurring, slice;

-- Steps of MRR by UTC day and month: MRR at a time is the sum of all steps up to it.
-- mrr is in 1/10,000 minor units.
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
ORDER BY (workspace, live, currency, day, kind, provider, slice)
SETTINGS index_granularity = 1024, {{.Settings}};

CREATE TABLE IF NOT EXISTS mrr_monthly
(
    workspace     LowCardinality(String),
    live          Bool,
    month         Date,
    currency      LowCardinality(String),
    kind          LowCardinality(String),
    provider      LowCardinality(String),
    slice         UInt16,
    mrr           Int64,
    subscriptions Int64,
    customers     Int64,
    entries       Int64
)
ENGINE = {{.Engine "mrr_monthly" "SummingMergeTree"}}
ORDER BY (workspace, live, currency, month, kind, provider, slice)
SETTINGS index_granularity = 1024, {{.Settings}};

CREATE TABLE IF NOT EXISTS mrr_steps
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
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS mrr_steps_to_daily TO mrr_daily AS
SELECT workspace, live, day, currency, kind, provider, slice, mrr, subscriptions, customers, entries
FROM mrr_steps;

CREATE MATERIALIZED VIEW IF NOT EXISTS mrr_steps_to_monthly TO mrr_monthly AS
SELECT
    workspace,
    live,
    toStartOfMonth(s.day) AS month,
    currency,
    kind,
    provider,
    slice,
    sum(s.mrr) AS mrr,
    sum(s.subscriptions) AS subscriptions,
    sum(s.customers) AS customers,
    sum(s.entries) AS entries
FROM mrr_steps AS s
GROUP BY workspace, live, month, currency, kind, provider, slice;

CREATE MATERIALIZED VIEW IF NOT EXISTS ledger_to_mrr_steps TO mrr_steps AS
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
