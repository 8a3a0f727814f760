-- The statements of the groups with one that is not known for sure, which say what it comes
-- to. In the order of the table, so that each group is read, folded and forgotten.
SELECT e.fact_group AS fact_group, e.statement AS statement
FROM events AS e
WHERE e.workspace = {workspace:String} AND e.kind IN ('charge', 'link', 'attribution', 'subscription', 'trial_start', 'trial_conversion')
    AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
    AND e.fact_group IN
    (
        SELECT e.fact_group
        FROM events AS e
        WHERE e.workspace = {workspace:String} AND e.uncertain = true
            AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
            AND e.provider = {provider:String} -- if provider
    )
ORDER BY e.workspace, e.fact_group
