-- What the rows behind a figure add up to, by what tells how they count in it.
SELECT e.currency AS currency, e.kind AS kind, e.recurring AS recurring, sum(e.sign) AS entries,
    sum(e.sign * (e.amount > 0)) AS positive, sum(e.sign * e.amount) AS amount, sum(e.sign * e.tax) AS tax,
    sum(e.sign * e.fee) AS fee, sum(e.sign * e.discount) AS discount,
    sum(e.sign *
        [[template "worth"]]
    ) AS mrr,
    sum(e.sign * e.subscriptions) AS subscriptions, sum(e.sign * e.customers) AS customers
FROM entries AS e
WHERE [[template "behind" .]]
GROUP BY e.currency, e.kind, e.recurring
