-- The beginning of each customer of a cohort who is as old as a period of it, and, if they
-- have to pay, is worth something then.
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(first, 1), tupleElement(first, 2)
    FROM
    (
        SELECT subject, min((at, row)) AS first
        FROM
        (
            SELECT e.subject AS subject, e.occurred_at AS at, e.row AS row
            [[template "judged"]]
            WHERE e.kind = 'new' AND e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
                AND e.provider = {provider:String} -- if provider
                AND [[template "chosen"]]
            GROUP BY subject, at, row
            HAVING sum(e.sign) > 0
        )
        WHERE subject IN
        (
            SELECT step.subject
            FROM
            (
                SELECT e.subject AS subject, e.currency AS currency, e.occurred_at AS at, sum(e.sign * e.mrr) AS mrr
                [[template "judged"]]
                WHERE [[template "steps_of_mrr"]]
                GROUP BY subject, currency, at
            ) AS step
            INNER JOIN
            (
                [[template "starts"]]
            ) AS s ON step.subject = s.subject
            WHERE s.cohort = {cohort:UInt64}
            [[- if .Relative]] AND [[template "birthday"]] < {until:DateTime64(6, 'UTC')}[[end]]
            GROUP BY step.subject, step.currency
            HAVING sumIf(step.mrr, [[if .Relative]]step.at <= [[template "birthday"]][[else]]step.at < {edge:DateTime64(6, 'UTC')}[[end]]) > 0 -- if paying
        )
        GROUP BY subject
    )
)
