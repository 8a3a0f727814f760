-- How MRR, paying customers and active subscriptions changed in each bucket of a
-- range, by currency and kind. Months that no edge divides come from mrr_monthly, days
-- of the others from mrr_daily, divided days from the entries (see cuts.go). The sum
-- of all buckets from the beginning of time is the balance.
--
-- MRR is in 1/10,000 minor units and signed as in the ledger: contraction and
-- churn are negative. rate_day is the day whose exchange rate applies, where
-- by_day asks for it (see flows.sql). term is the billing interval, for profiles that
-- weigh weeks and days otherwise.
SELECT bucket, currency, rate_day, kind,[[if .By]] part, claim,[[end]][[if .Terms]] term,[[end]] sum(m.mrr) AS mrr, sum(m.subscriptions) AS subscriptions,
    sum(m.customers) AS customers
FROM
(
[[- if .Months]]
    SELECT
        roundDown(toInt64(w.month) * 86400000000, {edges:Array(Int64)}) AS bucket,
        toDate(0) AS rate_day,
        w.currency, w.kind,[[if .By]] [[.Part "w"]],[[end]] w.mrr, w.subscriptions, w.customers
    FROM mrr_monthly AS w
    WHERE w.workspace = {workspace:String} AND w.live
        AND w.month >= {since_day:Date} AND w.month < {until_day:Date}
        AND w.month NOT IN {cut_months:Array(Date)}
        AND (NOT {by_day:Bool} OR w.currency = {into:String})
        AND ({provider:String} = '' OR w.provider = {provider:String})
        AND ({currency:String} = '' OR w.currency = {currency:String})
    UNION ALL
[[- end]]
[[- if not .Whole]]
    SELECT
        roundDown(toInt64(d.day) * 86400000000, {edges:Array(Int64)}) AS bucket,
        if(d.currency != {into:String} AND {by_day:Bool}, d.day, toDate(0)) AS rate_day,
        d.currency, d.kind,[[if .By]] [[.Part "d"]],[[end]] d.mrr, d.subscriptions, d.customers
    FROM mrr_daily AS d
    WHERE d.workspace = {workspace:String} AND d.live
        AND d.day >= {since_day:Date} AND d.day < {until_day:Date}
        AND d.day NOT IN {cut_days:Array(Date)}
    [[- if .Months]]
        AND (toStartOfMonth(d.day) IN {cut_months:Array(Date)} OR {by_day:Bool} AND d.currency != {into:String})
    [[- end]]
        AND ({provider:String} = '' OR d.provider = {provider:String})
        AND ({currency:String} = '' OR d.currency = {currency:String})
[[- end]]
[[- if or .Hours .Whole]]
    [[- if not .Whole]]
    UNION ALL
    [[- end]]
    SELECT
        roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)}) AS bucket,
        if(e.currency != {into:String} AND {by_day:Bool}, toDate(e.occurred_at), toDate(0)) AS rate_day,
        e.currency, e.kind,[[if .By]] [[.Part "e"]],[[end]][[if .Terms]] toString(e.interval) AS term,[[end]] e.sign * e.mrr AS mrr, e.sign * e.subscriptions AS subscriptions,
        e.sign * e.customers AS customers
    FROM entries AS e
    WHERE e.workspace = {workspace:String} AND e.live
        AND e.kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn',
            'subscription_active', 'subscription_inactive', 'transfer')
        AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    [[- if .Whole]]
        AND [[template "chosen"]]
    [[- else]]
        AND toDate(e.occurred_at) IN {cut_days:Array(Date)}
    [[- end]]
        AND ({provider:String} = '' OR e.provider = {provider:String})
        AND ({currency:String} = '' OR e.currency = {currency:String})
[[- end]]
) AS m
GROUP BY bucket, currency, rate_day, kind[[if .By]], part, claim[[end]][[if .Terms]], term[[end]]
