-- Which entries are on a page: signed rows of one entry cancel, and an entry that
-- several statements come to is listed as often (copy). The order is one of a fixed
-- list (questions.go), each ending in the time, the row and the copy, so that it is
-- total.
SELECT row, kind, occurred_at, arrayJoin(range(toUInt64(greatest(0, sum(sign))))) AS copy
FROM entries AS e
WHERE workspace = {workspace:String} AND live = {live:Bool} AND kind IN {kinds:Array(String)}
    AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
    AND provider = {provider:String} -- if provider
[[- if .Whole]]
    AND [[template "chosen"]]
[[- end]]
GROUP BY row, kind, occurred_at[[with .Column]], [[.]][[end]]
ORDER BY [[.Order]]
LIMIT {size:UInt64} OFFSET {skip:UInt64}
