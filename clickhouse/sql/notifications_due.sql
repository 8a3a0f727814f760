-- What is to be sent, the oldest first, of each alert no more than a batch.
SELECT {{template "notification"}}
FROM notifications FINAL
WHERE state = 'pending' AND next_at <= {now:DateTime64(6, 'UTC')} AND NOT has({busy:Array(String)}, alert)
ORDER BY created_at, id
LIMIT {batch:UInt32} BY alert
LIMIT {limit:UInt32}
