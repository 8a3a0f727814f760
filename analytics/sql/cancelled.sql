-- Distinct subscriptions with a cancellation in the range that was not taken back
-- by its end. A cancellation of an unnamed subscription stands for its customer,
-- or else for itself. Distinct counts cannot be kept in sums of signed rows, so
-- they are counted from the entries: by hashes, which cost a third of grouping by
-- the names, and are as wide as the row ids that the ledger rests on.
SELECT count() AS subscriptions
FROM
(
    SELECT 1
    FROM entries
    WHERE workspace = {workspace:String} AND live AND kind = 'cancellation'
        AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
        AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {until:DateTime64(6, 'UTC')})
        AND ({provider:String} = '' OR provider = {provider:String})
    GROUP BY multiIf(subscription != '', xxh3(provider, account, subscription),
        customer != '', xxh3(provider, account, '', customer), row)
    HAVING sum(sign) > 0
)
