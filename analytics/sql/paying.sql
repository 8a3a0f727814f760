-- How many customers are worth something at each edge[[if .By]], by what they are worth
-- something of: who has two plans counts in both[[end]].
SELECT edges[n + 1] AS at,[[if .By]] part, claim,[[end]] count() AS customers
FROM
(
    SELECT {edges:Array(Int64)} AS edges, n[[if .By]], part, claim[[end]]
    FROM
    (
        [[template "balances" .]]
    )
    ARRAY JOIN range(1, length(balances) + 1) AS n
    WHERE balances[n] > 0
)
GROUP BY at[[if .By]], part, claim[[end]]
