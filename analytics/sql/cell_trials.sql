-- The beginning of each trial that began in the range, or the conversion it came to; or what
-- ended it, if it ended in the range (see trials.sql).
(e.occurred_at, e.row) IN
(
    SELECT tupleElement(shown, 1), tupleElement(shown, 2)
    FROM
    (
        SELECT started AS turn, started AS shown, -- if trials_began
        SELECT started AS turn, paid AS shown, -- if trials_came
        SELECT if(converted, paid, expired) AS turn, turn AS shown, -- if trials_ended
            converted, ended
        FROM
        (
            SELECT subject, minIf((at, row), kind = 'trial_start') AS started,
                minIf((at, row), kind = 'trial_conversion') AS paid, maxIf((at, row), kind = 'expiration') AS expired,
                countIf(kind = 'trial_conversion') > 0 AS converted, converted OR tupleElement(expired, 1) >= tupleElement(started, 1) AS ended
            FROM
            (
                SELECT multiIf(e.subscription != '', xxh3(e.provider, e.account, e.subscription),
                        e.customer != '', xxh3(e.provider, e.account, '', e.customer), xxh3(e.row)) AS subject,
                    e.kind AS kind, e.occurred_at AS at, e.row AS row
                FROM entries AS e
                WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind IN ('trial_start', 'trial_conversion', 'expiration')
                    AND e.provider = {provider:String} -- if provider
                    AND [[template "chosen"]]
                GROUP BY subject, kind, at, row
                HAVING sum(e.sign) > 0
            )
            GROUP BY subject
            HAVING countIf(kind = 'trial_start') > 0
        )
    )
    WHERE tupleElement(turn, 1) >= {since:DateTime64(6, 'UTC')} AND tupleElement(turn, 1) < {until:DateTime64(6, 'UTC')}
        AND converted -- if converted
        AND ended -- if trials_ended
)
