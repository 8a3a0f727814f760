SELECT
    slice,
    workspace,
    fingerprint,
    sum(one) AS missing,
    any(live) AS live,
    any(occurred_at) AS occurred_at,
    any(kind) AS kind,
    any(row) AS row
FROM
(
    SELECT
        slice, workspace, {{template "fingerprint"}} AS fingerprint, live, occurred_at, kind, row,
        toInt64(sign) AS one
    FROM ledger
    WHERE {{template "slices and workspaces"}} AND row % {parts:UInt64} = {part:UInt64}
        AND {{template "instants"}}
    UNION ALL
    SELECT
        slice, workspace, {{template "fingerprint"}} AS fingerprint, live, occurred_at, kind, row,
        -toInt64(sign) AS one
    FROM entries
    WHERE {{template "slices and workspaces"}} AND row % {parts:UInt64} = {part:UInt64}
        AND {{template "instants"}}
)
GROUP BY slice, workspace, fingerprint
HAVING missing != 0
