-- How many statements an export has.
SELECT '' AS section, count() AS n
FROM events AS e
WHERE [[template "exported_events" .]]
HAVING n > 0
