-- The steps of MRR of subscriptions that are worth something at the end of the range and
-- are cancelled by then.
e.occurred_at < {until:DateTime64(6, 'UTC')} AND (e.provider, e.account, e.subscription, toString(e.currency)) IN
(
    [[template "cancelled_by_then"]]
)
[[- define "cancelled_by_then" -]]
SELECT provider, account, subscription, currency
    FROM
    (
        SELECT e.provider AS provider, e.account AS account, e.subscription AS subscription, toString(e.currency) AS currency, sum(e.sign * e.mrr) AS stated
        [[template "judged"]]
        WHERE [[template "steps_of_mrr"]]
        GROUP BY provider, account, subscription, currency
    )
    WHERE stated > 0 AND (provider, account, subscription) IN
    (
        SELECT provider, account, subscription
        FROM
        (
            SELECT e.provider AS provider, e.account AS account, e.subscription AS subscription, e.occurred_at AS asked, e.ends_at AS back
            FROM entries AS e
            WHERE e.kind = 'cancellation' AND [[template "until_now"]]
            GROUP BY provider, account, subscription, asked, back
            HAVING sum(e.sign) > 0
        )
        WHERE back = toDateTime64(0, 6, 'UTC') OR back >= {until:DateTime64(6, 'UTC')}
    )
[[- end]]
