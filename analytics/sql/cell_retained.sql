-- The same up to the beginning of those who are worth as much or more at the end, and up to
-- the end of those who are worth less.
(
    e.occurred_at < {since:DateTime64(6, 'UTC')} AND (e.subject, toString(e.currency)) IN
    (
        SELECT subject, currency
        FROM
        (
            [[template "between"]]
        )
        WHERE paid > 0 AND opening != 0 AND opening <= closing
    )
    OR e.occurred_at < {until:DateTime64(6, 'UTC')} AND (e.subject, toString(e.currency)) IN
    (
        SELECT subject, currency
        FROM
        (
            [[template "between"]]
        )
        WHERE paid > 0 AND opening != 0 AND opening > closing
    )
)
