-- The first payment of each customer of a cohort for whom a period is over.
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(first, 1), tupleElement(first, 2)
    FROM
    (
        SELECT payer, min((at, row)) AS first
        FROM
        (
            SELECT xxh3(e.provider, e.account, e.customer) AS payer, e.occurred_at AS at, e.row AS row
            FROM entries AS e
            WHERE [[template "pays"]] AND e.customer != '' AND [[template "cash"]]
            GROUP BY payer, at, row
            HAVING sum(e.sign) > 0
        )
        WHERE payer IN
        (
            SELECT s.payer
            FROM
            (
                [[template "payers"]]
            ) AS s
            WHERE s.cohort = {cohort:UInt64} AND [[template "last" .]] >= {period:Int64}
        )
        GROUP BY payer
    )
)
