-- What moved and what happened in each bucket of a range, by currency and kind.
-- Months that no edge divides come from revenue_monthly, days of the others from
-- revenue_daily, hours of divided days from revenue_hourly, and divided hours from the
-- entries (see cuts.go). What a question does not need is left out, as planning it
-- costs as much as reading it.
--
-- bucket is the micros of the edge that the bucket begins at. rate_day is the UTC
-- day whose exchange rate applies. Amounts in the currency of the answer (`into`) need
-- no rate, so their days and months are added up here unless by_day asks for days;
-- nor do lifecycle entries, which have none.
SELECT bucket, currency, rate_day, kind, recurring,[[if .By]] part, claim,[[end]]
    sum(f.entries) AS entries, sum(f.positive) AS positive, sum(f.amount) AS amount
    [[- if .Deductions]], sum(f.tax) AS tax, sum(f.fee) AS fee, sum(f.discount) AS discount[[end]]
FROM
(
[[- if .Months]]
    SELECT
        roundDown(toInt64(m.month) * 86400000000, {edges:Array(Int64)}) AS bucket,
        toDate(0) AS rate_day,
        m.currency, m.kind, m.recurring,[[if .By]] [[.Part "m"]],[[end]] m.entries, m.positive, m.amount
        [[- if .Deductions]], m.tax, m.fee, m.discount[[end]]
    FROM revenue_monthly AS m
    WHERE m.workspace = {workspace:String} AND m.live = {live:Bool} AND m.currency = {into:String}
        AND m.month >= {since_day:Date} AND m.month < {until_day:Date}
        AND m.month NOT IN {cut_months:Array(Date)} -- if cut_months
        AND m.provider = {provider:String} -- if provider
        AND m.currency = {currency:String} -- if currency
    UNION ALL
[[- end]]
[[- if .Days]]
    SELECT
        roundDown(toInt64(d.day) * 86400000000, {edges:Array(Int64)}) AS bucket,
        d.day AS rate_day, -- if by_day
        if(d.currency = {into:String} OR d.kind IN ('trial_start', 'cancellation', 'expiration'), toDate(0), d.day) AS rate_day, -- unless by_day
        d.currency, d.kind, d.recurring,[[if .By]] [[.Part "d"]],[[end]] d.entries, d.positive, d.amount
        [[- if .Deductions]], d.tax, d.fee, d.discount[[end]]
    FROM revenue_daily AS d
    WHERE d.workspace = {workspace:String} AND d.live = {live:Bool}
        AND d.day >= {since_day:Date} AND d.day < {until_day:Date}
        AND d.day NOT IN {cut_days:Array(Date)} -- if cut_days
    [[- if .Months]]
        AND (d.currency != {into:String} OR toStartOfMonth(d.day) IN {cut_months:Array(Date)})
    [[- end]]
        AND d.provider = {provider:String} -- if provider
        AND d.currency = {currency:String} -- if currency
[[- end]]
[[- if .Hours]]
    [[- if .Days]]
    UNION ALL
    [[- end]]
    SELECT
        roundDown(toInt64(toUnixTimestamp(h.hour)) * 1000000, {edges:Array(Int64)}) AS bucket,
        toDate(h.hour) AS rate_day, -- if by_day
        if(h.currency = {into:String} OR h.kind IN ('trial_start', 'cancellation', 'expiration'), toDate(0), toDate(h.hour)) AS rate_day, -- unless by_day
        h.currency, h.kind, h.recurring,[[if .By]] [[.Part "h"]],[[end]] h.entries, h.positive, h.amount
        [[- if .Deductions]], h.tax, h.fee, h.discount[[end]]
    FROM revenue_hourly AS h
    WHERE h.workspace = {workspace:String} AND h.live = {live:Bool}
        AND h.hour >= toStartOfHour({since:DateTime64(6, 'UTC')}) AND h.hour < {until:DateTime64(6, 'UTC')}
        AND toDate(h.hour) IN {cut_days:Array(Date)}
        AND h.hour NOT IN {cut_hours:Array(DateTime('UTC'))} -- if cut_hours
        AND h.provider = {provider:String} -- if provider
        AND h.currency = {currency:String} -- if currency
[[- end]]
[[- if .Entries]]
    [[- if .Hours]]
    UNION ALL
    [[- end]]
    SELECT
        roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)}) AS bucket,
        toDate(e.occurred_at) AS rate_day, -- if by_day
        if(e.currency = {into:String} OR e.kind IN ('trial_start', 'cancellation', 'expiration'), toDate(0), toDate(e.occurred_at)) AS rate_day, -- unless by_day
        e.currency, e.kind, e.recurring,[[if .By]] [[.Part "e"]],[[end]] e.sign AS entries, e.sign * (e.amount > 0) AS positive,
        e.sign * e.amount AS amount
        [[- if .Deductions]], e.sign * e.tax AS tax, e.sign * e.fee AS fee, e.sign * e.discount AS discount[[end]]
    FROM entries AS e
    WHERE e.workspace = {workspace:String} AND e.live = {live:Bool}
        AND e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal', 'refund', 'dispute',
            'dispute_reversal', 'fee', 'trial_start', 'cancellation', 'expiration')
        AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    [[- if .Whole]]
        AND [[template "chosen"]]
    [[- else]]
        AND toStartOfHour(e.occurred_at) IN {cut_hours:Array(DateTime('UTC'))}
    [[- end]]
        AND e.provider = {provider:String} -- if provider
        AND e.currency = {currency:String} -- if currency
[[- end]]
) AS f
GROUP BY bucket, currency, rate_day, kind, recurring[[if .By]], part, claim[[end]]
