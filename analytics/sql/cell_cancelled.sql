-- The last cancellation in the range of each subscription that has one which was not taken
-- back by the end (see cancelled.sql).
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(last, 1), tupleElement(last, 2)
    FROM
    (
        SELECT subject, maxIf((at, row), copies > 0) AS last
        FROM
        (
            SELECT e.subject AS subject, e.occurred_at AS at, e.row AS row, sum(e.sign) AS copies
            FROM entries AS e
            WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind = 'cancellation'
                AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
                AND (e.ends_at = toDateTime64(0, 6, 'UTC') OR e.ends_at > {until:DateTime64(6, 'UTC')})
                AND e.provider = {provider:String} -- if provider
                AND [[template "chosen"]]
            GROUP BY subject, at, row
        )
        GROUP BY subject
        HAVING sum(copies) > 0
    )
)
