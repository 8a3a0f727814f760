-- Refunds by when their charge was made, in the form of flows.sql. A refund is of the first
-- charge of its source that has the refund's payment as one of its ids, or else its invoice,
-- or else of the only charge of its group, which is that of a payment. found is false where
-- there is no such charge: the refund then counts when it was made itself.
SELECT roundDown(toUnixTimestamp64Micro(moment), {edges:Array(Int64)}) AS bucket, r.currency AS currency,
    if(r.currency = {into:String}, toDate(0), toDate(moment)) AS rate_day, 'refund' AS kind, r.recurring AS recurring,
    [[if .By]]r.part AS part, r.claim AS claim,[[end]] r.found AS found, sum(r.entries) AS entries, toInt64(0) AS positive,
    sum(r.amount) AS amount, sum(r.tax) AS tax, sum(r.fee) AS fee, sum(r.discount) AS discount
FROM
(
    [[template "refund_moments" .]]
) AS r
WHERE moment >= {since:DateTime64(6, 'UTC')} AND moment < {until:DateTime64(6, 'UTC')}
GROUP BY bucket, currency, rate_day, recurring,[[if .By]] part, claim,[[end]] found
[[- /* When each refund counts that is believed, and whether its charge is found. */ -]]
[[- define "refund_moments" -]]
SELECT f.row AS row, f.at AS at, any(f.currency) AS currency, any(f.recurring) AS recurring,[[if .By]] any(f.part) AS part, any(f.claim) AS claim,[[end]]
        any(f.entries) AS entries, any(f.amount) AS amount, any(f.tax) AS tax, any(f.fee) AS fee, any(f.discount) AS discount,
        countIf(c.charges > 0 AND (f.rank < 3 OR c.charges = 1)) > 0 AS found,
        if(found, argMinIf(c.first, f.rank, c.charges > 0 AND (f.rank < 3 OR c.charges = 1)), any(f.at)) AS moment
    FROM
    (
        SELECT *, name.1 AS rank, xxh3(provider, account, name.1 = 3, name.2) AS id
        FROM
        (
            SELECT e.row AS row, e.occurred_at AS at, toString(e.provider) AS provider, toString(e.account) AS account, e.fact_group AS fact_group,
                e.payment AS payment, e.invoice AS invoice, toString(e.currency) AS currency, e.recurring AS recurring,[[if .By]] [[.Part "e"]],[[end]]
                sum(e.sign) AS entries, sum(e.sign * e.amount) AS amount, sum(e.sign * e.tax) AS tax, sum(e.sign * e.fee) AS fee,
                sum(e.sign * e.discount) AS discount
            FROM entries AS e
            WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind = 'refund'
                AND e.provider = {provider:String} -- if provider
                AND e.currency = {currency:String} -- if currency
                AND [[template "chosen"]]
            GROUP BY row, at, provider, account, fact_group, payment, invoice, currency, recurring[[if .By]], part, claim[[end]]
            HAVING entries != 0
        )
        ARRAY JOIN arrayFilter(n -> n.2 != '', [(1, payment), (2, invoice), (3, fact_group)]) AS name
    ) AS f
    LEFT JOIN
    (
        SELECT id, min(at) AS first, count() AS charges
        FROM
        (
            SELECT id, row, at
            FROM
            (
                SELECT e.row AS row, e.occurred_at AS at, e.sign AS sign, arrayJoin(arrayMap(name -> xxh3(e.provider, e.account, name.1, name.2),
                    arrayDistinct(arrayFilter(name -> name.2 != '', [(1, e.fact_group), (0, e.object_id), (0, e.payment), (0, e.invoice)])))) AS id
                FROM entries AS e
                WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal')
                    AND e.known_at <= {as_of:DateTime64(6, 'UTC')}
                    AND e.provider = {provider:String} -- if provider
            )
            WHERE id IN
            (
                SELECT arrayJoin(arrayMap(name -> xxh3(e.provider, e.account, name.1, name.2),
                    arrayFilter(name -> name.2 != '', [(1, e.fact_group), (0, e.payment), (0, e.invoice)])))
                FROM entries AS e
                WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind = 'refund'
            )
            GROUP BY id, row, at
            HAVING sum(sign) > 0
        )
        GROUP BY id
    ) AS c ON f.id = c.id
    GROUP BY f.row, f.at
[[- end]]
