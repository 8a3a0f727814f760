INSERT INTO revenue_hourly (workspace, live, hour, currency, kind, provider, recurring, slice, entries, positive, amount, tax, fee, discount)
SELECT *
FROM
(
{{template "difference_revenue_hourly.sql"}}
)
WHERE {{template "owned"}}
