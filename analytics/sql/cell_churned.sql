-- The last step of those who were worth something at the beginning and nothing at the end.
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(last, 1), tupleElement(last, 2)
    FROM
    (
        SELECT subject, currency, max((at, row)) AS last
        FROM
        (
            [[template "believed_steps"]]
        )
        WHERE (subject, currency) IN
        (
            SELECT subject, currency
            FROM
            (
                [[template "between"]]
            )
            WHERE paid > 0 AND opening != 0 AND pays <= 0
        )
        GROUP BY subject, currency
    )
)
[[- define "believed_steps" -]]
SELECT e.subject AS subject, toString(e.currency) AS currency, e.occurred_at AS at, e.row AS row
            [[template "judged"]]
            WHERE [[template "steps_of_mrr"]]
            GROUP BY subject, currency, at, row
            HAVING sum(e.sign) > 0
[[- end]]
