-- The statements that say what subscriptions are worth, of the groups of which some may be
-- judged by another policy than the house's: what was past due, what was asked to end, and
-- what is worth more before discounts. In the order of the table, so that each group is read,
-- folded and forgotten.
SELECT e.fact_group AS fact_group, e.statement AS statement
FROM events AS e
WHERE e.workspace = {workspace:String} AND e.kind IN ('subscription', 'period', 'mrr_delta', 'cancellation')
    AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
    AND e.fact_group IN
    (
        SELECT e.fact_group
        FROM events AS e
        WHERE e.workspace = {workspace:String} AND e.kind IN ('subscription', 'period', 'cancellation')
            AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
            AND e.provider = {provider:String} -- if provider
            AND
            (
                false
                OR e.past_due = true -- if past_due
                OR e.ending = true -- if at_request
                OR e.discounted = true -- if before_discounts
            )
    )
ORDER BY e.workspace, e.fact_group
