-- How many rows each section of an export has.
SELECT e.kind AS section, count() AS n
FROM entries AS e
WHERE [[template "exported" .]]
GROUP BY e.kind
ORDER BY e.kind
