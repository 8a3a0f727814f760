-- What customers paid and got back in the range, by the bucket in which they first paid (its
-- edge's number) and the period since, by currency and the day whose exchange rate applies.
-- Rows without a currency say of how many customers a period was the last that is over, and
-- how many paid in it. Bucket 1 are those who first paid before the range, and 0 is what is
-- of nobody: no customer is named, or it is a refund of somebody who never paid.
--
-- A customer is one of an account of a source. A retraction has the instant of what it
-- takes back, so what is believed is told apart instant by instant.
SELECT cohort AS bucket, turn.1 AS period, turn.2 AS currency, turn.3 AS rate_day, sum(turn.4) AS gross, sum(turn.5) AS refunds,
    sum(turn.6) AS reached, sum(turn.7) AS customers
FROM
(
    SELECT cohort, last, arrayMap(step -> (toInt64(arrayCount(turn -> turn <= step.1, turns)) - 1, step.2, step.3, step.4, step.5, step.6), steps) AS placed
    FROM
    (
        SELECT steps, cohort,
            if(cohort < 2, [{edges:Array(Int64)}[2]],
        [[- if .Relative]]
            arrayFilter(turn -> turn <= {edges:Array(Int64)}[-1], arrayMap(n -> toUnixTimestamp64Micro(
                addDays(addMonths(toTimeZone(started, {zone:String}), n * {months:Int64}), n * {days:Int64})), range(toUInt64(length({edges:Array(Int64)})))))
        [[- else]]
            arraySlice({edges:Array(Int64)}, cohort)
        [[- end]]) AS turns,
            toInt64(length(turns)) - 2 AS last
        FROM
        (
            SELECT payer, minIf(at, charges > 0) AS started,
                if(payer = 0 OR countIf(charges > 0) = 0, 0, indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(started), {edges:Array(Int64)}))) AS cohort,
                groupArrayIf((toUnixTimestamp64Micro(at), code, rate_day, gross, refunds, charges), at >= {since:DateTime64(6, 'UTC')}
                    AND code = {currency:String} -- if currency
                ) AS steps
            FROM
            (
                SELECT if(e.customer = '', 0, xxh3(e.provider, e.account, e.customer)) AS payer, toString(e.currency) AS code,
                    if(payer = 0, greatest(toDateTime64(toDate(e.occurred_at), 6, 'UTC'), {since:DateTime64(6, 'UTC')}), e.occurred_at) AS at,
                    if(e.currency = {into:String}, toDate(0), toDate(e.occurred_at)) AS rate_day,
                    sum(if(e.kind = 'refund', 0, e.sign * e.amount)) AS gross, -sum(if(e.kind = 'refund', e.sign * e.amount, 0)) AS refunds,
                    sum(if(e.kind != 'refund' AND e.amount > 0, e.sign, 0)) AS charges
                FROM entries AS e
                WHERE e.workspace = {workspace:String} AND e.live
                    AND e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal', 'refund')
                    AND e.occurred_at < {until:DateTime64(6, 'UTC')} AND (e.customer != '' OR e.occurred_at >= {since:DateTime64(6, 'UTC')})
                    AND e.provider = {provider:String} -- if provider
                    AND [[template "chosen"]]
                GROUP BY payer, code, at, rate_day
                HAVING gross != 0 OR refunds != 0 OR charges != 0
            )
            GROUP BY payer
        )
    )
)
ARRAY JOIN arrayConcat(
    arrayMap(step -> (step.1, step.2, step.3, step.4, step.5, toUInt64(0), toUInt64(0)), arrayFilter(step -> cohort < 2 OR step.1 <= last, placed)),
    arrayMap(period -> (period, '', toDate(0), toInt64(0), toInt64(0), toUInt64(0), toUInt64(1)),
        arrayDistinct(arrayMap(step -> step.1, arrayFilter(step -> cohort > 1 AND step.1 <= last AND step.6 > 0, placed)))),
    if(cohort < 2, [], [(last, '', toDate(0), toInt64(0), toInt64(0), toUInt64(1), toUInt64(0))])) AS turn
GROUP BY bucket, period, currency, rate_day
