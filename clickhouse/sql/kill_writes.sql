KILL QUERY
WHERE query_id IN {ids:Array(String)} AND current_database = currentDatabase()
SYNC
