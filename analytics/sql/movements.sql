-- How MRR, paying customers and active subscriptions changed in each bucket of a
-- range, by currency and kind. Days that no edge divides come from mrr_daily, the
-- others from the entries. The sum of all buckets from the beginning of time is
-- the balance.
--
-- MRR is in 1/10,000 minor units and signed as in the ledger: contraction and
-- churn are negative. rate_day is the day whose exchange rate applies, where
-- by_day asks for it (see flows.sql).
SELECT bucket, currency, rate_day, kind, sum(m.mrr) AS mrr, sum(m.subscriptions) AS subscriptions,
    sum(m.customers) AS customers
FROM
(
    SELECT
        roundDown(toInt64(d.day) * 86400000000, {edges:Array(Int64)}) AS bucket,
        if(d.currency != {into:String} AND {by_day:Bool}, d.day, toDate(0)) AS rate_day,
        d.currency, d.kind, d.mrr, d.subscriptions, d.customers
    FROM mrr_daily AS d
    WHERE d.workspace = {workspace:String} AND d.live
        AND d.day >= {since_day:Date} AND d.day < {until_day:Date}
        AND d.day NOT IN {cut_days:Array(Date)}
        AND ({provider:String} = '' OR d.provider = {provider:String})
        AND ({currency:String} = '' OR d.currency = {currency:String})
[[- if .Hours]]
    UNION ALL
    SELECT
        roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)}) AS bucket,
        if(e.currency != {into:String} AND {by_day:Bool}, toDate(e.occurred_at), toDate(0)) AS rate_day,
        e.currency, e.kind, e.sign * e.mrr AS mrr, e.sign * e.subscriptions AS subscriptions,
        e.sign * e.customers AS customers
    FROM entries AS e
    WHERE e.workspace = {workspace:String} AND e.live
        AND e.kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn',
            'subscription_active', 'subscription_inactive')
        AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
        AND toDate(e.occurred_at) IN {cut_days:Array(Date)}
        AND ({provider:String} = '' OR e.provider = {provider:String})
        AND ({currency:String} = '' OR e.currency = {currency:String})
[[- end]]
) AS m
GROUP BY bucket, currency, rate_day, kind
