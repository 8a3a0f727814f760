-- The first payment in a period of a cohort of each customer who paid in it.
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(first, 1), tupleElement(first, 2)
    FROM
    (
        SELECT payer, min((at, row)) AS first
        FROM
        (
            [[template "cohort_payments" .]]
        )
        WHERE pays AND [[template "cohort_cell"]]
        GROUP BY payer
    )
)
