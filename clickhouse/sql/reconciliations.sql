-- How the latest comparison of each endpoint ended.
SELECT endpoint, day, at, runner, finished, since, until, totals, differences, failure
FROM reconciliations
WHERE workspace = {workspace:String} AND finished
ORDER BY endpoint, at DESC
LIMIT 1 BY endpoint
