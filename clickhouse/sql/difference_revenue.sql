SELECT
    workspace, live, {{.Bucket}}, currency, kind, provider, recurring, slice,
    sum(d.entries) AS entries,
    sum(d.positive) AS positive,
    sum(d.amount) AS amount,
    sum(d.tax) AS tax,
    sum(d.fee) AS fee,
    sum(d.discount) AS discount
FROM
(
    SELECT
        workspace,
        live,
        {{template "bucket" .}} AS {{.Bucket}},
        currency,
        kind,
        provider,
        recurring,
        slice,
        toInt64(l.sign) AS entries,
        toInt64(l.sign * (l.amount > 0)) AS positive,
        toInt64(l.sign * l.amount) AS amount,
        toInt64(l.sign * l.tax) AS tax,
        toInt64(l.sign * l.fee) AS fee,
        toInt64(l.sign * l.discount) AS discount
    FROM ledger AS l
    WHERE {{template "slices and workspaces"}} AND family IN ('cash', 'lifecycle') AND {{template "buckets" .}}
    UNION ALL
    SELECT
        workspace,
        live,
        {{.Bucket}},
        currency,
        kind,
        provider,
        recurring,
        slice,
        -{{.Table}}.entries AS entries,
        -{{.Table}}.positive AS positive,
        -{{.Table}}.amount AS amount,
        -{{.Table}}.tax AS tax,
        -{{.Table}}.fee AS fee,
        -{{.Table}}.discount AS discount
    FROM {{.Table}}
    WHERE {{template "slices and workspaces"}} AND {{template "buckets" .}}
) AS d
GROUP BY workspace, live, {{.Bucket}}, currency, kind, provider, recurring, slice
HAVING entries != 0 OR positive != 0 OR amount != 0 OR tax != 0 OR fee != 0 OR discount != 0
