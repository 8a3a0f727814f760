-- The first step of each customer who is worth something at the end of the range, in a
-- currency, of what the figure is about.
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(first, 1), tupleElement(first, 2)
    FROM
    (
        SELECT subject, currency, minIf((at, row), copies > 0) AS first
        FROM
        (
            SELECT e.subject AS subject, e.currency AS currency, e.occurred_at AS at, e.row AS row, any(e.mrr) AS mrr, sum(e.sign) AS copies
            [[template "judged"]]
            WHERE [[template "steps_of_mrr"]]
            [[- if .By]]
                AND [[.PartIs "e"]]
            [[- end]]
            GROUP BY subject, currency, at, row
        )
        GROUP BY subject, currency
        HAVING sum(copies * mrr) > 0
    )
)
