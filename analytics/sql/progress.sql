-- Everything accepted before this instant is in the answers: the least of the
-- slices. No row means that nothing has been stored yet.
SELECT min(complete_through) AS complete_through
FROM (SELECT argMax(complete_through, (epoch, written_at)) AS complete_through FROM progress GROUP BY slice)
HAVING count() > 0
