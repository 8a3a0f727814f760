[[- /* In which bucket each customer first paid; the first bucket is all time before. */ -]]
[[- define "starts" -]]
SELECT subject, min(at) AS started, indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(min(at)), {edges:Array(Int64)})) AS cohort
        FROM
        (
            SELECT e.subject AS subject, e.occurred_at AS at
            [[template "judged"]]
            WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind = 'new'
                AND e.occurred_at < {until:DateTime64(6, 'UTC')}
                AND e.provider = {provider:String} -- if provider
                AND [[template "chosen"]]
            GROUP BY subject, at, e.row
            HAVING sum(e.sign) > 0
        )
        GROUP BY subject
        HAVING cohort > 1
[[- end]]
