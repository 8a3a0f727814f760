SELECT
    slice,
    workspace,
    live,
    toDateTime({{.Bucket}}, 'UTC') AS bucket,
    concat(currency, ' ', kind, ' ', provider, ' ', if(recurring, 'recurring', 'once')) AS cell,
    map('entries', entries, 'positive', positive, 'amount', amount, 'tax', tax, 'fee', fee, 'discount', discount) AS missing,
    cityHash64(slice, workspace, live, bucket, cell, missing) AS hash
FROM
(
{{template "difference_revenue.sql" .}}
)
ORDER BY slice, workspace, live, bucket, cell
