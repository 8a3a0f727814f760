-- What subscriptions are worth at each edge whose cancellation is asked for by then and
-- not taken back: MRR that is known to end, by currency.
SELECT edges[n + 1] AS at, currency, sum(balances[n]) AS mrr, count() AS subscriptions
FROM
(
    SELECT {edges:Array(Int64)} AS edges, b.currency AS currency, b.balances AS balances, n
    FROM
    (
        SELECT currency, provider, account, subscription, unnamed,
            [[template "levels"]]
        FROM
        (
            SELECT currency, provider, account, subscription, unnamed,
                [[template "steps"]]
            FROM
            (
                SELECT e.currency AS currency, [[template "subscribed"]],
                    [[template "step"]]
                [[template "judged"]]
                WHERE [[template "steps_of_mrr"]]
                GROUP BY currency, provider, account, subscription, unnamed, at
            )
            GROUP BY currency, provider, account, subscription, unnamed
        )
    ) AS b
    INNER JOIN
    (
        SELECT provider, account, subscription, unnamed, groupArray((asked, back)) AS standing
        FROM
        (
            SELECT [[template "subscribed"]],
                toUnixTimestamp64Micro(e.occurred_at) AS asked,
                if(e.ends_at = toDateTime64(0, 6, 'UTC'), 9223372036854775807, toUnixTimestamp64Micro(e.ends_at)) AS back
            FROM entries AS e
            WHERE [[template "requests"]]
            GROUP BY provider, account, subscription, unnamed, asked, back
            HAVING sum(e.sign) > 0
        )
        GROUP BY provider, account, subscription, unnamed
    ) AS c USING (provider, account, subscription, unnamed)
    ARRAY JOIN range(1, length(balances) + 1) AS n
    WHERE balances[n] > 0 AND -- unless weighed
    WHERE b.paid[n] > 0 AND -- if weighed
        arrayExists(span -> span.1 < edges[n + 1] AND span.2 >= edges[n + 1], c.standing)
)
GROUP BY at, currency
