-- What the customers of each bucket's beginning were worth then and at its end, by
-- currency.
SELECT edges[bucket + 1] AS bucket, currency, sum(b.opening) AS opening, sum(least(b.opening, b.closing)) AS retained,
    sumIf(b.closing, b.opening > 0) AS closing, countIf(b.opening > 0) AS customers,
    countIf(b.opening > 0 AND b.closing <= 0) AS churned
FROM
(
    SELECT {edges:Array(Int64)} AS edges, currency, n AS bucket, balances[n] AS opening, balances[n + 1] AS closing
    FROM
    (
        [[template "balances" .]]
    )
    ARRAY JOIN range(1, length(balances)) AS n
    WHERE opening > 0
) AS b
GROUP BY edges, bucket, currency
ORDER BY bucket, currency
