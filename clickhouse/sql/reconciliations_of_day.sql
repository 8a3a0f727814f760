SELECT endpoint, day, at, runner, finished, since, until, totals, differences, failure
FROM reconciliations
WHERE workspace = {workspace:String} AND endpoint = {endpoint:String} AND day = {day:Date}
ORDER BY at, runner
