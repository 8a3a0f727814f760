-- The steps of MRR of the customers of a cohort, up to the end of a period of it.
[[if .Relative -]]
(e.occurred_at, e.row) IN
(
    SELECT step.at, step.row
    FROM
    (
        SELECT e.subject AS subject, e.occurred_at AS at, e.row AS row
        [[template "judged"]]
        WHERE [[template "steps_of_mrr"]]
    ) AS step
    INNER JOIN
    (
        [[template "starts"]]
    ) AS s ON step.subject = s.subject
    WHERE s.cohort = {cohort:UInt64} AND step.at <= [[template "birthday"]] AND [[template "birthday"]] < {until:DateTime64(6, 'UTC')}
)
[[- else -]]
e.occurred_at < {edge:DateTime64(6, 'UTC')} AND e.subject IN
(
    SELECT s.subject
    FROM
    (
        [[template "starts"]]
    ) AS s
    WHERE s.cohort = {cohort:UInt64}
)
[[- end]]
[[- /* When a period of a customer's own time begins. */ -]]
[[- define "birthday" -]]
addDays(addMonths(toTimeZone(s.started, {zone:String}), {period:Int64} * {months:Int64}), {period:Int64} * {days:Int64})
[[- end]]
