-- The first step of MRR of each of them.
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(first, 1), tupleElement(first, 2)
    FROM
    (
        SELECT provider, account, subscription, unnamed, currency, min((at, row)) AS first
        FROM
        (
            SELECT [[template "subscribed"]], toString(e.currency) AS currency,
                e.occurred_at AS at, e.row AS row
            [[template "judged"]]
            WHERE [[template "steps_of_mrr"]]
            GROUP BY provider, account, subscription, unnamed, currency, at, row
            HAVING sum(e.sign) > 0
        )
        WHERE (provider, account, subscription, unnamed, currency) IN
        (
            [[template "cancelled_by_then"]]
        )
        GROUP BY provider, account, subscription, unnamed, currency
    )
)
