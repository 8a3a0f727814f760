SELECT
    workspace, live, day, currency, kind, provider, recurring, slice,
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
        toDate({{template "bounded"}}) AS day,
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
    WHERE {{template "slices and workspaces"}} AND family IN ('cash', 'lifecycle') AND {{template "days"}}
    UNION ALL
    SELECT
        workspace,
        live,
        day,
        currency,
        kind,
        provider,
        recurring,
        slice,
        -revenue_daily.entries AS entries,
        -revenue_daily.positive AS positive,
        -revenue_daily.amount AS amount,
        -revenue_daily.tax AS tax,
        -revenue_daily.fee AS fee,
        -revenue_daily.discount AS discount
    FROM revenue_daily
    WHERE {{template "slices and workspaces"}} AND {{template "days"}}
) AS d
GROUP BY workspace, live, day, currency, kind, provider, recurring, slice
HAVING entries != 0 OR positive != 0 OR amount != 0 OR tax != 0 OR fee != 0 OR discount != 0
