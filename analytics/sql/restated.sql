-- The statements that say what subscriptions are worth, of the groups of which some may be
-- judged by another policy than the house's: what was past due, and what was asked to end.
-- In the order of the table, so that each group is read, folded and forgotten.
SELECT e.fact_group AS fact_group, e.statement AS statement
FROM events AS e
WHERE e.workspace = {workspace:String} AND e.kind IN ('subscription', 'period', 'mrr_delta', 'cancellation')
    AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
    AND e.fact_group IN
    (
        SELECT e.fact_group
        FROM events AS e
        WHERE e.workspace = {workspace:String} AND e.kind IN ('subscription', 'cancellation')
            AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
            AND e.provider = {provider:String} -- if provider
            AND (e.past_due AND {past_due:Bool} OR e.ending AND {at_request:Bool})
    )
ORDER BY e.workspace, e.fact_group
