INSERT INTO revenue_daily (workspace, live, day, currency, kind, provider, recurring, slice, entries, positive, amount, tax, fee, discount)
SELECT *
FROM
(
{{template "difference_revenue_daily.sql"}}
)
WHERE {{template "owned"}}
