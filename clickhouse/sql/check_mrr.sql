SELECT
    slice,
    workspace,
    live,
    toDateTime({{.Bucket}}, 'UTC') AS bucket,
    concat(currency, ' ', kind, ' ', provider) AS cell,
    map('mrr', mrr, 'subscriptions', subscriptions, 'customers', customers, 'entries', entries) AS missing,
    cityHash64(slice, workspace, live, bucket, cell, missing) AS hash
FROM
(
{{template "difference_mrr.sql" .}}
)
ORDER BY slice, workspace, live, bucket, cell
