-- How many rows each workspace has in the slices, in the ledger and in what is
-- derived from it: what is to be made equal may have any of them alone.
SELECT workspace, sum(rows) AS rows
FROM
(
    SELECT workspace, count() AS rows FROM ledger WHERE {{template "chosen"}} GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM entries WHERE {{template "chosen"}} GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM revenue_hourly WHERE {{template "chosen"}} GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM revenue_daily WHERE {{template "chosen"}} GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM revenue_monthly WHERE {{template "chosen"}} GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM mrr_daily WHERE {{template "chosen"}} GROUP BY workspace
    UNION ALL
    SELECT workspace, count() AS rows FROM mrr_monthly WHERE {{template "chosen"}} GROUP BY workspace
)
GROUP BY workspace
ORDER BY workspace
{{- define "chosen"}}slice IN {slices:Array(UInt16)} AND ({all:Bool} OR workspace IN {workspaces:Array(String)}){{end}}
