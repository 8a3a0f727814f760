[[- /* Of each customer, in each currency, the MRR at every edge but the first: the sum of
the movements up to it. A customer is what movements are judged for: a group. */ -]]
[[- define "balances" -]]
SELECT subject, currency,[[if .By]] part, claim,[[end]]
            [[template "levels"]]
        FROM
        (
            SELECT subject, currency,[[if .By]] part, claim,[[end]]
                [[template "steps"]]
            FROM
            (
                SELECT e.subject AS subject, e.currency AS currency,[[if .By]] [[.Part "e"]],[[end]]
                    [[template "step"]]
                [[template "judged"]]
                WHERE [[template "steps_of_mrr"]]
                GROUP BY subject, currency,[[if .By]] part, claim,[[end]] at
            )
            GROUP BY subject, currency[[if .By]], part, claim[[end]]
        )
[[- end]]
[[- /* A step between two edges, the steps of one whom balances are kept of, and the balances.
Where a profile weighs, the rounded steps of somebody who has left may leave a
ten-thousandth behind: who pays is told by the balances as stated, paid. */ -]]
[[- define "step" -]]
indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)})) AS at,
                    sum(e.sign * e.mrr) AS stated, -- if weighed
                    sum(e.sign *
                        [[template "worth"]]
                    ) AS mrr
[[- end]]
[[- define "steps" -]]
groupArrayInsertAt(toInt64(0), {buckets:UInt32})(mrr, toUInt32(at - 1)) AS steps
                , groupArrayInsertAt(toInt64(0), {buckets:UInt32})(stated, toUInt32(at - 1)) AS stated_steps -- if weighed
[[- end]]
[[- define "levels" -]]
arrayCumSum(steps) AS balances
            , arrayCumSum(stated_steps) AS paid -- if weighed
[[- end]]
