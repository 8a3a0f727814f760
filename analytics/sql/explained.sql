-- What the rows behind a figure add up to, by what tells how they count in it.
WITH
    [[template "copies" .]] AS copies_of_line
SELECT e.currency AS currency, e.kind AS kind, e.recurring AS recurring, sum(copies_of_line) AS entries,
    sum(copies_of_line * (e.amount > 0)) AS positive, sum(copies_of_line * e.amount) AS amount, sum(copies_of_line * e.tax) AS tax,
    sum(copies_of_line * e.fee) AS fee, sum(copies_of_line * e.discount) AS discount,
    sum(copies_of_line *
        [[template "worth"]]
    ) AS mrr,
    sum(copies_of_line * e.subscriptions) AS subscriptions, sum(copies_of_line * e.customers) AS customers
[[template "judged"]]
WHERE [[template "behind" .]]
GROUP BY e.currency, e.kind, e.recurring
