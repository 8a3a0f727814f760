-- What cancelled.sql counts, of subscriptions that their source did not name: each
-- stands for its customer, or else for itself. Few sources have such, and reading
-- the names of all customers for them costs as much as all the rest.
SELECT count() AS subscriptions
FROM
(
    SELECT 1
    FROM entries
    WHERE workspace = {workspace:String} AND live AND kind = 'cancellation'
        AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
        AND (ends_at = toDateTime64(0, 6, 'UTC') OR ends_at > {until:DateTime64(6, 'UTC')})
        AND ({provider:String} = '' OR provider = {provider:String})
        AND subscription = ''
    GROUP BY provider, account, customer, if(customer = '', row, 0)
    HAVING sum(sign) > 0
)
