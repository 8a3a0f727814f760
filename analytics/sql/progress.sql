-- Everything accepted before this instant is in the answers: the least of the
-- slices. No row means that some slice has not said yet how far it is.
SELECT min(through) AS complete_through
FROM
(
    SELECT argMax(complete_through, (epoch, written_at)) AS through
    FROM progress
    WHERE slice < {slices:UInt32}
    GROUP BY slice
)
HAVING count() = {slices:UInt32} AND complete_through > toDateTime64(0, 6, 'UTC')
