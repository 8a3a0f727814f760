-- The steps of MRR of subscriptions that are worth something at the end of the range and
-- are cancelled by then.
e.occurred_at < {until:DateTime64(6, 'UTC')} AND (e.provider, e.account, e.subscription, if(e.subscription = '', e.fact_group, ''), toString(e.currency)) IN
(
    [[template "cancelled_by_then"]]
)
[[- define "cancelled_by_then" -]]
SELECT provider, account, subscription, unnamed, currency
    FROM
    (
        SELECT [[template "subscribed"]], toString(e.currency) AS currency, sum(e.sign * e.mrr) AS stated
        [[template "judged"]]
        WHERE [[template "steps_of_mrr"]]
        GROUP BY provider, account, subscription, unnamed, currency
    )
    WHERE stated > 0 AND (provider, account, subscription, unnamed) IN
    (
        SELECT provider, account, subscription, unnamed
        FROM
        (
            SELECT [[template "subscribed"]], e.occurred_at AS asked, e.ends_at AS back
            FROM entries AS e
            WHERE [[template "requests"]]
            GROUP BY provider, account, subscription, unnamed, asked, back
            HAVING sum(e.sign) > 0
        )
        WHERE back = toDateTime64(0, 6, 'UTC') OR back >= {until:DateTime64(6, 'UTC')}
    )
[[- end]]
