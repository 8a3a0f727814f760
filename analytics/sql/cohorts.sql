-- What became of the customers who first paid in each bucket: how many pay at the end of
-- that and each later one, and what they are worth, by currency; without one, in all.
-- period counts the buckets since.
SELECT edges[cohort] AS bucket, n - cohort AS period, currency, uniqExact(subject) AS began,
    uniqExactIf(subject, balances[n] > 0) AS customers, -- unless weighed
    uniqExactIf(subject, paid[n] > 0) AS customers, -- if weighed
    sum(balances[n]) AS mrr
FROM
(
    SELECT {edges:Array(Int64)} AS edges, s.cohort AS cohort, b.subject AS subject, toString(b.currency) AS currency, b.balances AS balances,
        b.paid AS paid, -- if weighed
        n
    FROM
    (
        [[template "balances" .]]
    ) AS b
    INNER JOIN
    (
        [[template "starts"]]
    ) AS s USING (subject)
    ARRAY JOIN range(toUInt64(s.cohort), length(balances) + 1) AS n
)
GROUP BY GROUPING SETS ((edges, cohort, n), (edges, cohort, n, currency))
