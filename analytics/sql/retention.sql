-- What the customers of each bucket's beginning were worth then and at its end, by
-- currency: of each the balance at every edge, which is the sum of its movements up to
-- it. A customer is what movements are judged for: a group, in one currency.
SELECT edges[bucket + 1] AS bucket, currency, sum(b.opening) AS opening, sum(least(b.opening, b.closing)) AS retained,
    sumIf(b.closing, b.opening > 0) AS closing, countIf(b.opening > 0) AS customers,
    countIf(b.opening > 0 AND b.closing <= 0) AS churned
FROM
(
    SELECT {edges:Array(Int64)} AS edges, currency, n AS bucket, balances[n] AS opening, balances[n + 1] AS closing
    FROM
    (
        SELECT currency, arrayCumSum(arrayMap(
            k -> arraySum(step -> if(step.1 = k, step.2, 0), steps), range(1, length({edges:Array(Int64)})))) AS balances
        FROM
        (
            SELECT subject, currency, groupArray((at, mrr)) AS steps
            FROM
            (
                SELECT e.subject AS subject, e.currency AS currency,
                    indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)})) AS at,
                    sum(e.sign * e.mrr) AS mrr
                FROM entries AS e
                WHERE e.workspace = {workspace:String} AND e.live
                    AND e.kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn')
                    AND e.occurred_at < {until:DateTime64(6, 'UTC')}
                    AND ({provider:String} = '' OR e.provider = {provider:String})
                    AND ({currency:String} = '' OR e.currency = {currency:String})
                    AND [[template "chosen"]]
                GROUP BY subject, currency, at
            )
            GROUP BY subject, currency
        )
    )
    ARRAY JOIN range(1, length(balances)) AS n
    WHERE opening > 0
) AS b
GROUP BY edges, bucket, currency
ORDER BY bucket, currency
