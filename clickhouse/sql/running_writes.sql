SELECT query_id, toBool(is_cancelled) AS cancelled
FROM system.processes
WHERE startsWith(query_id, {prefix:String}) AND current_database = currentDatabase()
