-- Rows of the ledger in the order of their export: kind by kind, each in order of time, as
-- the table lies. Rows that are alike in all of that come together.
SELECT e.row AS row, e.sign AS sign, e.known_at AS known_at, e.family AS family, e.kind AS kind, e.provider AS provider,
    e.account AS account, e.fact AS fact, e.fact_group AS fact_group, e.version AS version, e.object_id AS object_id,
    e.external_id AS external_id, e.occurred_at AS occurred_at, e.ends_at AS ends_at, e.received_at AS received_at,
    e.currency AS currency, e.amount AS amount, e.tax AS tax, e.fee AS fee, e.discount AS discount,
    e.recurring AS recurring, e.mrr AS mrr, e.subscriptions AS subscriptions, e.customers AS customers,
    e.reason AS reason, e.customer AS customer, e.customer_name AS customer_name, e.country AS country,
    e.subscription AS subscription, e.invoice AS invoice, e.payment AS payment, e.product AS product, e.plan AS plan,
    e.quantity AS quantity, e.interval AS interval, e.interval_count AS interval_count,
    e.payment_method AS payment_method, e.message AS message, e.offer AS offer, e.contact AS contact,
    e.campaign AS campaign, e.source AS source, e.visitor AS visitor, e.session AS session,
    e.attribution_type AS attribution_type, e.imported AS imported, e.metadata AS metadata
FROM entries AS e
WHERE [[template "exported" .]]
ORDER BY e.kind, e.occurred_at, e.row, e.known_at, e.sign
LIMIT {size:UInt64} WITH TIES
[[- define "exported" -]]
e.workspace = {workspace:String} AND e.live = {live:Bool}
    AND e.kind = {section:String} -- if section
    AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    AND e.known_at > {known_after:DateTime64(6, 'UTC')}
    AND (e.kind, e.occurred_at, e.row, e.known_at, e.sign) > -- if after
        ({after_kind:String}, {after_at:DateTime64(6, 'UTC')}, {after_row:UInt64}, {after_known:DateTime64(6, 'UTC')}, {after_sign:Int8}) -- if after
    AND (e.kind, e.occurred_at, e.row, e.known_at, e.sign) <= -- if last
        ({last_kind:String}, {last_at:DateTime64(6, 'UTC')}, {last_row:UInt64}, {last_known:DateTime64(6, 'UTC')}, {last_sign:Int8}) -- if last
    AND e.provider = {provider:String} -- if provider
    AND e.currency = {currency:String} -- if currency
    AND [[template "chosen"]]
[[- end]]
