SELECT slice, max(epoch) AS epoch, max(offset) AS offset
FROM events
WHERE topic_id = {topic_id:String} AND slice IN {slices:Array(UInt16)}
GROUP BY slice
