-- What is believed of some groups as of a moment, of what has happened by then: rows
-- that say the same of one subject are added up, and those that add up to nothing are
-- left out. A movement is one of its time; a refund stays itself when its time is
-- corrected.
SELECT
    l.fact_group AS fact_group,
    l.fact AS fact,
    toString(l.kind) AS kind,
    toString(l.currency) AS currency,
    if(l.family = 'state', l.occurred_at, toDateTime64(0, 6, 'UTC')) AS subject_at,
    sum(toInt64(l.sign)) AS standing,
    sum(l.sign * l.mrr) AS mrr,
    sum(l.sign * l.amount) AS amount,
    max(l.known_at) AS latest_at,
    argMaxIf(l.occurred_at, l.known_at, l.sign > 0) AS happened_at,
    toString(argMaxIf(l.provider, l.known_at, l.sign > 0)) AS source,
    toString(argMaxIf(l.reason, l.known_at, l.sign > 0)) AS cause,
    argMaxIf(l.object_id, l.known_at, l.sign > 0) AS object,
    argMaxIf(l.customer, l.known_at, l.sign > 0) AS who,
    argMaxIf(l.subscription, l.known_at, l.sign > 0) AS subscribed,
    argMaxIf(l.plan, l.known_at, l.sign > 0) AS bought_plan,
    argMaxIf(l.product, l.known_at, l.sign > 0) AS bought_product
FROM ledger AS l
WHERE l.workspace = {workspace:String} AND l.fact_group IN {groups:Array(String)}
    AND l.live AND l.kind IN {kinds:Array(String)}
    AND l.occurred_at < {until:DateTime64(6, 'UTC')} AND l.known_at < {until:DateTime64(6, 'UTC')}
GROUP BY fact_group, fact, kind, currency, subject_at
HAVING standing > 0
ORDER BY happened_at, fact, kind
