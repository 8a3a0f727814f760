-- In order of groups, so that one is held in memory at a time. What belongs to no
-- workspace marks places of the log.
SELECT workspace, fact_group, statement
FROM events
WHERE slice = {slice:UInt16} AND workspace != ''
ORDER BY workspace, fact_group
