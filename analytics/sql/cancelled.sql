-- Distinct subscriptions with a cancellation in the range that was not taken back
-- by its end. A cancellation of an unnamed subscription stands for its customer,
-- or else for itself. Distinct counts cannot be kept in sums of signed rows, so
-- they are counted from the entries: by hashes, which are several times faster to
-- group by than the names, and as wide as the row ids that the ledger rests on.
SELECT count() AS subscriptions
FROM
(
    SELECT 1
    FROM entries
    WHERE workspace = {workspace:String} AND live AND kind = 'cancellation'
        AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
        AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {until:DateTime64(6, 'UTC')})
        AND ({provider:String} = '' OR provider = {provider:String})
    GROUP BY cityHash64(provider), cityHash64(account), subscription = '', subscription = '' AND customer = '',
        multiIf(subscription != '', cityHash64(subscription), customer != '', cityHash64(customer), row)
    HAVING sum(sign) > 0
)
