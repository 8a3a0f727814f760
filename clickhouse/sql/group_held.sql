SELECT
    workspace,
    fact_group,
    row,
    toUnixTimestamp64Micro(known_at) AS known_at_micros,
    sum(sign) AS held
FROM ledger
WHERE (workspace, fact_group) IN (SELECT workspace, fact_group FROM wanted)
GROUP BY workspace, fact_group, row, known_at
HAVING held != 0
