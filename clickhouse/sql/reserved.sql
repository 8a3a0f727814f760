SELECT slice
FROM reservations
WHERE slice IN {slices:Array(UInt16)}
GROUP BY slice
HAVING argMax(until, written_at) > now64(6, 'UTC')
