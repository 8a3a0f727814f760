-- How many trials began in each bucket, and how many of them have been converted since
-- (cohort); and how many ended in it, and how many of these by conversion (ended). A
-- trial is known by its subscription, or without one by its customer; it ends by the
-- first payment or by expiring.
SELECT roundDown(toUnixTimestamp64Micro(turn.2), {edges:Array(Int64)}) AS bucket, turn.1 AS basis,
    count() AS trials, countIf(converted) AS conversions
FROM
(
    SELECT converted, arrayJoin([('cohort', started), ('ended', multiIf(converted, paid, expired >= started, expired, toDateTime64(0, 6, 'UTC')))]) AS turn
    FROM
    (
        SELECT subject, minIf(at, kind = 'trial_start') AS started,
            minIf(at, kind = 'trial_conversion') AS paid, maxIf(at, kind = 'expiration') AS expired,
            countIf(kind = 'trial_conversion') > 0 AS converted
        FROM
        (
            SELECT multiIf(e.subscription != '', xxh3(e.provider, e.account, e.subscription),
                    e.customer != '', xxh3(e.provider, e.account, '', e.customer), xxh3(e.row)) AS subject,
                e.kind AS kind, e.occurred_at AS at
            FROM entries AS e
            WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind IN ('trial_start', 'trial_conversion', 'expiration')
                AND e.provider = {provider:String} -- if provider
                AND [[template "chosen"]]
            GROUP BY subject, kind, at
            HAVING sum(e.sign) > 0
        )
        GROUP BY subject
        HAVING countIf(kind = 'trial_start') > 0
    )
)
WHERE turn.2 >= {since:DateTime64(6, 'UTC')} AND turn.2 < {until:DateTime64(6, 'UTC')}
GROUP BY bucket, basis
