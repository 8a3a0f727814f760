-- Distinct subscriptions with a cancellation in a period that was not taken back by
-- its end[[if .Previous]], of two periods at once[[end]]. Distinct counts cannot be kept in sums of signed
-- rows, so they are counted from the entries, by what stands for a subscription there.
SELECT countIf(now > 0) AS subscriptions, countIf(before > 0) AS previous
FROM
(
[[- if .Previous]]
    SELECT
        sumIf(sign, occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
            AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {until:DateTime64(6, 'UTC')})) AS now,
        sumIf(sign, occurred_at >= {prev_since:DateTime64(6, 'UTC')} AND occurred_at < {prev_until:DateTime64(6, 'UTC')}
            AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {prev_until:DateTime64(6, 'UTC')})) AS before
    FROM entries AS e
    WHERE workspace = {workspace:String} AND live = {live:Bool} AND kind = 'cancellation'
        AND (occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
            OR occurred_at >= {prev_since:DateTime64(6, 'UTC')} AND occurred_at < {prev_until:DateTime64(6, 'UTC')})
[[- else]]
    SELECT sum(sign) AS now, 0 AS before
    FROM entries AS e
    WHERE workspace = {workspace:String} AND live = {live:Bool} AND kind = 'cancellation'
        AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
        AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {until:DateTime64(6, 'UTC')})
[[- end]]
        AND provider = {provider:String} -- if provider
[[- if .Whole]]
        AND [[template "chosen"]]
[[- end]]
    GROUP BY subject
)
