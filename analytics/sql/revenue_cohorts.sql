-- What customers paid and got back in the range, by the bucket in which they first paid (its
-- edge's number) and the period since, by currency and the day whose exchange rate applies;
-- without a currency, how many paid in the period, and of how many it was the last that is
-- over. Bucket 1 are those who first paid before the range, and 0 is what is of nobody: no
-- customer is named, or it is a refund of somebody who never paid.
--
-- A customer is one of an account of a source. Rows that are believed no longer are left out
-- with their retractions, so that what is left has been paid.
SELECT bucket, period, currency, rate_day, sum(f.gross) AS gross, sum(f.refunds) AS refunds, toUInt64(0) AS reached,
    uniqExactIf(f.payer, f.pays AND f.bucket > 1) AS customers
FROM
(
    SELECT s.cohort AS bucket, [[template "cohort_period" .]] AS period,
        [[template "last" .]] AS last, m.payer AS payer, m.currency AS currency, m.rate_day AS rate_day, m.gross AS gross, m.refunds AS refunds, m.pays AS pays
    FROM
    (
        SELECT xxh3(e.provider, e.account, e.customer) AS payer, e.occurred_at AS at, toString(e.currency) AS currency,
            [[template "rate_day"]] AS rate_day, [[template "gross"]] AS gross, [[template "refunded"]] AS refunds, [[template "pays"]] AS pays
        FROM entries AS e
        WHERE [[template "paid"]]
            AND e.currency = {currency:String} -- if currency
            AND e.occurred_at >= {since:DateTime64(6, 'UTC')}
    ) AS m
    INNER JOIN
    (
        [[template "payers"]]
    ) AS s ON m.payer = s.payer
    WHERE bucket < 2 OR period <= last
) AS f
GROUP BY GROUPING SETS ((bucket, period), (bucket, period, currency, rate_day))
UNION ALL
SELECT s.cohort AS bucket, [[template "last" .]] AS period, '' AS currency, toDate(0) AS rate_day, toInt64(0) AS gross, toInt64(0) AS refunds,
    count() AS reached, toUInt64(0) AS customers
FROM
(
    [[template "payers"]]
) AS s
WHERE bucket > 1
GROUP BY bucket, period
UNION ALL
SELECT toUInt64(0) AS bucket, toInt64(0) AS period, toString(e.currency) AS currency, [[template "rate_day"]] AS rate_day,
    sum([[template "gross"]]) AS gross, sum([[template "refunded"]]) AS refunds, toUInt64(0) AS reached, toUInt64(0) AS customers
FROM entries AS e
WHERE e.customer = '' AND e.occurred_at >= {since:DateTime64(6, 'UTC')}
    AND e.currency = {currency:String} -- if currency
    AND [[template "cash"]]
GROUP BY currency, rate_day
[[- define "payers" -]]
SELECT xxh3(e.provider, e.account, e.customer) AS payer, minIf(e.occurred_at, [[template "pays"]]) AS started,
            if(countIf([[template "pays"]]) = 0, 0, indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(started), {edges:Array(Int64)}))) AS cohort
        FROM entries AS e
        WHERE [[template "paid"]]
        GROUP BY payer
[[- end]]
[[- define "paid" -]]
e.customer != '' AND [[template "cash"]]
            AND e.row NOT IN
            (
                SELECT e.row
                FROM entries AS e
                WHERE [[template "cash"]]
                    AND e.row IN (SELECT e.row FROM entries AS e WHERE e.sign < 0 AND [[template "cash"]]
                    )
                GROUP BY e.row
                HAVING sum(e.sign) <= 0
            )
[[- end]]
[[- define "cash" -]]
e.workspace = {workspace:String} AND e.live = {live:Bool}
    AND e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal', 'refund')
    AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    AND e.provider = {provider:String} -- if provider
    AND [[template "chosen"]]
[[- end]]
[[- define "rate_day"]]if(e.currency = {into:String}, toDate(0), toDate(e.occurred_at))[[end]]
[[- define "gross"]]if(e.kind = 'refund', 0, e.sign * e.amount)[[end]]
[[- define "refunded"]]if(e.kind = 'refund', -e.sign * e.amount, 0)[[end]]
[[- define "pays"]](e.kind != 'refund' AND e.amount > 0)[[end]]
[[- /* The last period that is over at the end of the range. */ -]]
[[- define "last"]][[if .Relative]][[template "age" "{until:DateTime64(6, 'UTC')}"]] - 1[[else]]toInt64(length({edges:Array(Int64)})) - 1 - s.cohort[[end]][[end]]
[[- /* How many periods of a customer's own time are over at an instant: as many months, or days,
as have begun since by the calendar, but for one that begins later that month, or day. */ -]]
[[- define "age"]]toInt64([[template "begun" .]]) - (addDays(addMonths(toTimeZone(s.started, {zone:String}), [[template "begun" .]] * {months:Int64}), [[template "begun" .]] * {days:Int64}) > [[.]])[[end]]
[[- define "begun"]]if({months:Int64} > 0, intDiv(dateDiff('month', s.started, [[.]], {zone:String}), greatest({months:Int64}, 1)), intDiv(dateDiff('day', s.started, [[.]], {zone:String}), greatest({days:Int64}, 1)))[[end]]
[[- define "cohort_period"]][[if .Relative]][[template "age" "m.at"]][[else]]toInt64(indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(m.at), {edges:Array(Int64)}))) - s.cohort[[end]][[end]]
