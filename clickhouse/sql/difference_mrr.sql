SELECT
    workspace, live, {{.Bucket}}, currency, kind, provider, slice,
    sum(d.mrr) AS mrr,
    sum(d.subscriptions) AS subscriptions,
    sum(d.customers) AS customers,
    sum(d.entries) AS entries
FROM
(
    SELECT
        workspace,
        live,
        {{template "bucket" .}} AS {{.Bucket}},
        currency,
        kind,
        provider,
        slice,
        toInt64(l.sign * l.mrr) AS mrr,
        toInt64(l.sign * l.subscriptions) AS subscriptions,
        toInt64(l.sign * l.customers) AS customers,
        toInt64(l.sign) AS entries
    FROM ledger AS l
    WHERE {{template "slices and workspaces"}} AND family = 'state' AND {{template "buckets" .}}
    UNION ALL
    SELECT
        workspace,
        live,
        {{.Bucket}},
        currency,
        kind,
        provider,
        slice,
        -{{.Table}}.mrr AS mrr,
        -{{.Table}}.subscriptions AS subscriptions,
        -{{.Table}}.customers AS customers,
        -{{.Table}}.entries AS entries
    FROM {{.Table}}
    WHERE {{template "slices and workspaces"}} AND {{template "buckets" .}}
) AS d
GROUP BY workspace, live, {{.Bucket}}, currency, kind, provider, slice
HAVING mrr != 0 OR subscriptions != 0 OR customers != 0 OR entries != 0
