INSERT INTO mrr_daily (workspace, live, day, currency, kind, provider, slice, mrr, subscriptions, customers, entries)
SELECT *
FROM
(
{{template "difference_mrr_daily.sql"}}
)
WHERE {{template "owned"}}
