-- The last statement of a part of an export.
SELECT e.fact_group AS fact_group, e.fact AS fact, e.version AS version, e.slice AS slice, e.offset AS offset
FROM events AS e
WHERE [[template "exported_events" .]]
ORDER BY e.fact_group, e.fact, e.version, e.slice, e.offset
LIMIT 1 OFFSET {skip:UInt64}
