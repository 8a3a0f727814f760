-- The last notification of every chain: what subscribers were told of each subject, of
-- some groups of the ledger.
SELECT workspace, alert, subject, fact_group, id, type, stands, amount, body
FROM notifications FINAL
WHERE workspace = {workspace:String} AND fact_group IN {groups:Array(String)}
    AND id NOT IN
    (
        SELECT previous
        FROM notifications FINAL
        WHERE workspace = {workspace:String} AND fact_group IN {groups:Array(String)}
    )
