[[- /* Of each customer, in each currency, the MRR at every edge but the first: the sum of
the movements up to it. A customer is what movements are judged for: a group. */ -]]
[[- define "balances" -]]
SELECT subject, currency,[[if .By]] part, claim,[[end]] arrayCumSum(arrayMap(
            k -> arraySum(step -> if(step.1 = k, step.2, 0), steps), range(1, length({edges:Array(Int64)})))) AS balances
        FROM
        (
            SELECT subject, currency,[[if .By]] part, claim,[[end]] groupArray((at, mrr)) AS steps
            FROM
            (
                SELECT e.subject AS subject, e.currency AS currency,[[if .By]] [[.Part "e"]],[[end]]
                    indexOf({edges:Array(Int64)}, roundDown(toUnixTimestamp64Micro(e.occurred_at), {edges:Array(Int64)})) AS at,
                    sum(e.sign * e.mrr) AS mrr
                FROM entries AS e
                WHERE [[template "steps_of_mrr"]]
                GROUP BY subject, currency,[[if .By]] part, claim,[[end]] at
            )
            GROUP BY subject, currency[[if .By]], part, claim[[end]]
        )
[[- end]]
