-- Distinct subscriptions with a cancellation in the range that was not taken back
-- by its end, and whether there are cancellations of unnamed ones too. Distinct
-- counts cannot be kept in sums of signed rows, so they are counted from the
-- entries: by hashes, which cost half of grouping by the names, and are as wide as
-- the row ids that the ledger rests on.
SELECT countIf(NOT unnamed) AS subscriptions, countIf(unnamed) AS unnamed_groups
FROM
(
    SELECT any(empty(subscription)) AS unnamed
    FROM entries
    WHERE workspace = {workspace:String} AND live AND kind = 'cancellation'
        AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
        AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {until:DateTime64(6, 'UTC')})
        AND ({provider:String} = '' OR provider = {provider:String})
    GROUP BY xxh3(provider, account, subscription)
    HAVING sum(sign) > 0
)
