-- What the customers of each bucket's beginning were worth then and at its end, by
-- currency.
SELECT edges[bucket + 1] AS bucket, currency, sum(b.opening) AS opening, sumIf(least(b.opening, b.closing), b.paid) AS retained,
    sumIf(b.closing, b.paid) AS closing, countIf(b.paid) AS customers, countIf(b.paid AND NOT b.stays) AS churned
FROM
(
    SELECT {edges:Array(Int64)} AS edges, currency, n AS bucket, balances[n] AS opening, balances[n + 1] AS closing,
        opening > 0 AS paid, closing > 0 AS stays -- unless weighed
        levels.paid[n] > 0 AS paid, levels.paid[n + 1] > 0 AS stays -- if weighed
    FROM
    (
        [[template "balances" .]]
    ) AS levels
    ARRAY JOIN range(1, length(balances)) AS n
    WHERE opening != 0
) AS b
GROUP BY edges, bucket, currency
ORDER BY bucket, currency
