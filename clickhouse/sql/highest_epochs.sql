SELECT slice, max(epoch) AS epoch
FROM events
WHERE slice IN {slices:Array(UInt16)}
GROUP BY slice
