SELECT slice, statement
FROM events
WHERE kind = {kind:String} AND workspace = ''
ORDER BY slice, offset
