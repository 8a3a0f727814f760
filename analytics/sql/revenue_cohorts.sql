-- What customers paid and got back in the range, by the bucket in which they first paid (its
-- edge's number) and the period since, by currency and the day whose exchange rate applies.
-- Rows without a currency say of how many customers a period was the last that is over, and
-- how many paid in it. Bucket 1 are those who first paid before the range, and 0 is what is
-- of nobody: no customer is named, or it is a refund of somebody who never paid.
--
-- A customer is one of an account of a source. Rows that are believed no longer are left out
-- with their retractions, so that what is left has been paid.
SELECT cohort AS bucket, turn.1 AS period, turn.2 AS currency, turn.3 AS rate_day, sum(turn.4) AS gross, sum(turn.5) AS refunds,
    sum(turn.6) AS reached, sum(turn.7) AS customers
FROM
(
    SELECT cohort, arrayMap(step -> ([[if .Relative]][[template "age" "step.1"]][[else]]toInt64(step.1) - cohort[[end]],
            step.2, step.3, step.4, step.5, step.6), steps) AS placed,
        [[if .Relative]][[template "age" "{until:DateTime64(6, 'UTC')}"]] - 1[[else]]toInt64(length({edges:Array(Int64)})) - 1 - cohort[[end]] AS last
    FROM
    (
        SELECT minIf(e.occurred_at, e.kind != 'refund' AND e.amount > 0) AS started,
            if(countIf(e.kind != 'refund' AND e.amount > 0) = 0, 0,
                indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(started), {edges:Array(Int64)}))) AS cohort,
            groupArrayIf(([[if .Relative]]e.occurred_at[[else]]indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)}))[[end]],
                    toString(e.currency), [[template "rate_day"]],
                    [[template "gross"]], [[template "refunded"]], e.kind != 'refund' AND e.amount > 0), e.occurred_at >= {since:DateTime64(6, 'UTC')}
                AND e.currency = {currency:String} -- if currency
            ) AS steps
        FROM entries AS e
        WHERE e.customer != '' AND [[template "cash"]]
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
        GROUP BY xxh3(e.provider, e.account, e.customer)
    )
)
ARRAY JOIN arrayConcat(
    arrayMap(step -> (step.1, step.2, step.3, step.4, step.5, toUInt64(0), toUInt64(0)), arrayFilter(step -> cohort < 2 OR step.1 <= last, placed)),
    arrayMap(period -> (period, '', toDate(0), toInt64(0), toInt64(0), toUInt64(0), toUInt64(1)),
        arrayDistinct(arrayMap(step -> step.1, arrayFilter(step -> cohort > 1 AND step.1 <= last AND step.6, placed)))),
    if(cohort < 2, [], [(last, '', toDate(0), toInt64(0), toInt64(0), toUInt64(1), toUInt64(0))])) AS turn
GROUP BY bucket, period, currency, rate_day
UNION ALL
SELECT 0 AS bucket, toInt64(0) AS period, toString(e.currency) AS currency, [[template "rate_day"]] AS rate_day,
    sum([[template "gross"]]) AS gross, sum([[template "refunded"]]) AS refunds, toUInt64(0) AS reached, toUInt64(0) AS customers
FROM entries AS e
WHERE e.customer = '' AND e.occurred_at >= {since:DateTime64(6, 'UTC')}
    AND e.currency = {currency:String} -- if currency
    AND [[template "cash"]]
GROUP BY currency, rate_day
[[- define "cash" -]]
e.workspace = {workspace:String} AND e.live
    AND e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal', 'refund')
    AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    AND e.provider = {provider:String} -- if provider
    AND [[template "chosen"]]
[[- end]]
[[- define "rate_day"]]if(e.currency = {into:String}, toDate(0), toDate(e.occurred_at))[[end]]
[[- define "gross"]]if(e.kind = 'refund', 0, e.sign * e.amount)[[end]]
[[- define "refunded"]]if(e.kind = 'refund', -e.sign * e.amount, 0)[[end]]
[[- /* How many periods of a customer's own time are over at an instant: as many months, or days,
as have begun since by the calendar, but for one that begins later that month, or day. */ -]]
[[- define "age"]]toInt64([[template "begun" .]]) - (addDays(addMonths(toTimeZone(started, {zone:String}), [[template "begun" .]] * {months:Int64}), [[template "begun" .]] * {days:Int64}) > [[.]])[[end]]
[[- define "begun"]]if({months:Int64} > 0, intDiv(dateDiff('month', started, [[.]], {zone:String}), greatest({months:Int64}, 1)), intDiv(dateDiff('day', started, [[.]], {zone:String}), greatest({days:Int64}, 1)))[[end]]
