SELECT slice, epoch
FROM fence
WHERE slice IN {slices:Array(UInt16)}
