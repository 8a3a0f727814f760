-- What customers of a cohort paid and got back in a period of it, or what is of none.
(
    (e.occurred_at, e.row) IN
    (
        SELECT at, row
        FROM
        (
            [[template "cohort_payments" .]]
        )
        WHERE [[template "cohort_cell"]]
    )
    OR e.customer = '' AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')} -- if nobody
)
[[- /* Payments of the range with the cohort of who paid, and its period then. */ -]]
[[- define "cohort_payments" -]]
SELECT s.cohort AS bucket, [[template "cohort_period" .]] AS period, [[template "last" .]] AS last, m.payer AS payer,
                m.at AS at, m.row AS row, m.pays AS pays
            FROM
            (
                SELECT xxh3(e.provider, e.account, e.customer) AS payer, e.occurred_at AS at, e.row AS row, [[template "pays"]] AS pays
                FROM entries AS e
                WHERE e.customer != '' AND [[template "cash"]]
                    AND e.currency = {currency:String} -- if currency
                    AND e.occurred_at >= {since:DateTime64(6, 'UTC')}
                GROUP BY payer, at, row, pays
                HAVING sum(e.sign) > 0 -- if believed
            ) AS m
            INNER JOIN
            (
                [[template "payers"]]
            ) AS s ON m.payer = s.payer
            WHERE bucket < 2 OR period <= last
[[- end]]
[[- define "cohort_cell" -]]
true
            AND (bucket = 0 OR period < 0) -- if nobody
            AND bucket = 1 AND period >= 0 -- if earlier
            AND bucket = {cohort:UInt64} AND period = {period:Int64} -- if within
[[- end]]
