-- The last row of a part of an export, so many rows into a section.
SELECT e.kind AS kind, e.occurred_at AS occurred_at, e.row AS row, e.known_at AS known_at, e.sign AS sign
FROM entries AS e
WHERE [[template "exported" .]]
ORDER BY e.kind, e.occurred_at, e.row, e.known_at, e.sign
LIMIT 1 OFFSET {skip:UInt64}
