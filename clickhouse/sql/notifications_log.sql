-- The log of a workspace, newest first. An empty value of a filter is no filter.
SELECT {{template "notification"}}
FROM notifications FINAL
WHERE workspace = {workspace:String}
    AND ({alert:String} = '' OR alert = {alert:String})
    AND ({id:String} = '' OR id = {id:String})
    AND ({state:String} = '' OR state = {state:String})
    AND created_at >= {since:DateTime64(6, 'UTC')}
    AND ({before_id:String} = '' OR (created_at, id) < ({before:DateTime64(6, 'UTC')}, {before_id:String}))
ORDER BY created_at DESC, id DESC
LIMIT {limit:UInt32}
