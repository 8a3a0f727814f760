SELECT
    workspace, live, day, currency, kind, provider, slice,
    sum(d.mrr) AS mrr,
    sum(d.subscriptions) AS subscriptions,
    sum(d.customers) AS customers,
    sum(d.entries) AS entries
FROM
(
    SELECT
        workspace,
        live,
        toDate({{template "bounded"}}) AS day,
        currency,
        kind,
        provider,
        slice,
        toInt64(l.sign * l.mrr) AS mrr,
        toInt64(l.sign * l.subscriptions) AS subscriptions,
        toInt64(l.sign * l.customers) AS customers,
        toInt64(l.sign) AS entries
    FROM ledger AS l
    WHERE {{template "slices and workspaces"}} AND family = 'state' AND {{template "days"}}
    UNION ALL
    SELECT
        workspace,
        live,
        day,
        currency,
        kind,
        provider,
        slice,
        -mrr_daily.mrr AS mrr,
        -mrr_daily.subscriptions AS subscriptions,
        -mrr_daily.customers AS customers,
        -mrr_daily.entries AS entries
    FROM mrr_daily
    WHERE {{template "slices and workspaces"}} AND {{template "days"}}
) AS d
GROUP BY workspace, live, day, currency, kind, provider, slice
HAVING mrr != 0 OR subscriptions != 0 OR customers != 0 OR entries != 0
