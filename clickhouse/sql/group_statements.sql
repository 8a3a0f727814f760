SELECT workspace, fact_group, statement
FROM events
WHERE (workspace, fact_group) IN (SELECT workspace, fact_group FROM wanted)
