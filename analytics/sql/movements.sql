-- How MRR, paying customers and active subscriptions changed in each bucket of a
-- range, by currency and kind. Months that no edge divides come from mrr_monthly, days
-- of the others from mrr_daily, divided days from the entries (see cuts.go). The sum
-- of all buckets from the beginning of time is the balance.
--
-- MRR is in 1/10,000 minor units and signed as in the ledger: contraction and
-- churn are negative. rate_day is the day whose exchange rate applies, where
-- by_day asks for it (see flows.sql).
SELECT bucket, currency, rate_day, kind,[[if .By]] part, claim,[[end]] sum(m.mrr) AS mrr, sum(m.subscriptions) AS subscriptions,
    sum(m.customers) AS customers
FROM
(
[[- if .Months]]
    SELECT
        roundDown(toInt64(w.month) * 86400000000, {edges:Array(Int64)}) AS bucket,
        toDate(0) AS rate_day,
        w.currency, w.kind,[[if .By]] [[.Part "w"]],[[end]] w.mrr, w.subscriptions, w.customers
    FROM mrr_monthly AS w
    WHERE w.workspace = {workspace:String} AND w.live = {live:Bool}
        AND w.month >= {since_day:Date} AND w.month < {until_day:Date}
        AND w.month NOT IN {cut_months:Array(Date)} -- if cut_months
        AND w.currency = {into:String} -- if by_day
        AND w.provider = {provider:String} -- if provider
        AND w.currency = {currency:String} -- if currency
    UNION ALL
[[- end]]
[[- if not .Whole]]
    SELECT
        roundDown(toInt64(d.day) * 86400000000, {edges:Array(Int64)}) AS bucket,
        if(d.currency != {into:String}, d.day, toDate(0)) AS rate_day, -- if by_day
        toDate(0) AS rate_day, -- unless by_day
        d.currency, d.kind,[[if .By]] [[.Part "d"]],[[end]] d.mrr, d.subscriptions, d.customers
    FROM mrr_daily AS d
    WHERE d.workspace = {workspace:String} AND d.live = {live:Bool}
        AND d.day >= {since_day:Date} AND d.day < {until_day:Date}
        AND d.day NOT IN {cut_days:Array(Date)} -- if cut_days
    [[- if .Months]]
        AND (toStartOfMonth(d.day) IN {cut_months:Array(Date)} OR d.currency != {into:String}) -- if by_day
        AND toStartOfMonth(d.day) IN {cut_months:Array(Date)} -- unless by_day
    [[- end]]
        AND d.provider = {provider:String} -- if provider
        AND d.currency = {currency:String} -- if currency
[[- end]]
[[- if or .Hours .Whole]]
    [[- if not .Whole]]
    UNION ALL
    [[- end]]
    SELECT
        roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)}) AS bucket,
        if(e.currency != {into:String}, toDate(e.occurred_at), toDate(0)) AS rate_day, -- if by_day
        toDate(0) AS rate_day, -- unless by_day
        e.currency, e.kind,[[if .By]] [[.Part "e"]],[[end]] e.sign *
        [[template "worth"]]
        AS mrr, e.sign * e.subscriptions AS subscriptions,
        e.sign * e.customers AS customers
    [[template "judged"]]
    WHERE e.workspace = {workspace:String} AND e.live = {live:Bool}
        AND e.kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn',
            'subscription_active', 'subscription_inactive', 'transfer')
        AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    [[- if .Whole]]
        AND [[template "chosen"]]
    [[- else]]
        AND toDate(e.occurred_at) IN {cut_days:Array(Date)}
    [[- end]]
        AND e.provider = {provider:String} -- if provider
        AND e.currency = {currency:String} -- if currency
[[- end]]
) AS m
GROUP BY bucket, currency, rate_day, kind[[if .By]], part, claim[[end]]
