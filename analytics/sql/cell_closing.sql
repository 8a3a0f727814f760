-- The steps of MRR of those who were worth something at the beginning of the range.
e.occurred_at < {until:DateTime64(6, 'UTC')} AND (e.subject, toString(e.currency)) IN
(
    SELECT subject, currency
    FROM
    (
        [[template "between"]]
    )
    WHERE paid > 0 AND opening != 0
)
[[- /* What each customer is worth at the beginning and at the end of the range, by currency. */ -]]
[[- define "between" -]]
SELECT e.subject AS subject, toString(e.currency) AS currency, sumIf(e.sign * e.mrr, e.occurred_at < {since:DateTime64(6, 'UTC')}) AS paid,
            sumIf(e.sign *
                [[template "worth"]]
            , e.occurred_at < {since:DateTime64(6, 'UTC')}) AS opening,
            sum(e.sign *
                [[template "worth"]]
            ) AS closing, sum(e.sign * e.mrr) AS pays
        [[template "judged"]]
        WHERE [[template "steps_of_mrr"]]
        GROUP BY subject, currency
[[- end]]
