-- Not SYNC: a write whose client fell silent ends only when the server gives up
-- waiting for it, and SYNC would wait without regard for any deadline.
KILL QUERY
WHERE query_id IN {ids:Array(String)} AND current_database = currentDatabase()
ASYNC
