-- Deliveries of a workspace, newest first or oldest first. An empty value of a filter
-- is no filter. {{/* The order is one of two words. */}}
SELECT id, workspace, endpoint, provider, received_at, revision, refusal, event_ids, types, versions, outcomes,
    happened_at, names, statements, bytes, record
FROM
(
    SELECT *
    FROM deliveries
    WHERE workspace = {workspace:String}
        AND received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
        AND ({endpoint:String} = '' OR endpoint = {endpoint:String})
        AND ({provider:String} = '' OR provider = {provider:String})
        AND ({name:String} = '' OR id = {name:String} OR has(event_ids, {name:String}) OR has(names, {name:String}))
    ORDER BY id, revision DESC
    LIMIT 1 BY id
)
WHERE ({type:String} = '' OR arrayExists(t -> t = {type:String}, types))
    AND ({outcome:String} = '' OR arrayExists(o -> o = {outcome:String}, outcomes))
    AND (received_at, id) > ({after_time:DateTime64(6, 'UTC')}, {after_id:String})
ORDER BY received_at {{.}}, id {{.}}
LIMIT {limit:UInt32}
