INSERT INTO {{.Table}} (workspace, live, {{.Bucket}}, currency, kind, provider, slice, mrr, subscriptions, customers, entries)
SELECT *
FROM
(
{{template "difference_mrr.sql" .}}
)
WHERE {{template "owned"}}
