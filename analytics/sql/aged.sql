-- The same by each customer's own time: after so many months, say, since the first
-- payment, of those whose so many months are over. At period 0 they have just begun.
SELECT {edges:Array(Int64)}[cohort] AS bucket, period, currency, uniqExact(subject) AS began,
    uniqExactIf(subject, paid > 0) AS customers, sum(balance) AS mrr
FROM
(
    SELECT s.cohort AS cohort, b.subject AS subject, b.currency AS currency, toInt64(period) AS period,
        addDays(addMonths(toTimeZone(s.started, {zone:String}), period * {months:Int64}), period * {days:Int64}) AS birthday,
        arraySum(arrayMap(step -> if(step.1 <= birthday, step.2, 0), b.steps)) AS balance,
        balance AS paid -- unless weighed
        arraySum(arrayMap(step -> if(step.1 <= birthday, step.3, 0), b.steps)) AS paid -- if weighed
    FROM
    (
        SELECT e.subject AS subject, toString(e.currency) AS currency, groupArray((e.occurred_at, e.sign *
            [[template "worth"]]
            , e.sign * e.mrr -- if weighed
            )) AS steps
        [[template "judged"]]
        WHERE [[template "steps_of_mrr"]]
        GROUP BY subject, currency
    ) AS b
    INNER JOIN
    (
        [[template "starts"]]
    ) AS s USING (subject)
    ARRAY JOIN range(toUInt64(length({edges:Array(Int64)}))) AS period
    WHERE birthday < {until:DateTime64(6, 'UTC')}
)
GROUP BY GROUPING SETS ((cohort, period), (cohort, period, currency))
