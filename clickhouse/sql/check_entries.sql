SELECT
    slice,
    workspace,
    live,
    toDateTime(toUnixTimestamp64Second(occurred_at), 'UTC') AS bucket,
    concat(kind, ' ', toString(row)) AS cell,
    map('sign', d.missing) AS missing,
    cityHash64(slice, workspace, live, bucket, cell, missing) AS hash
FROM
(
{{template "difference_entries.sql"}}
) AS d
ORDER BY slice, workspace, live, bucket, cell
