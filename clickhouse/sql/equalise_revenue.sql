INSERT INTO {{.Table}} (workspace, live, {{.Bucket}}, currency, kind, provider, recurring, slice, entries, positive, amount, tax, fee, discount)
SELECT *
FROM
(
{{template "difference_revenue.sql" .}}
)
WHERE {{template "owned"}}
