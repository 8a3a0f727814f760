-- The fields of the entries on a page. The range is that of the page itself, so
-- few granules are read however wide they are.
SELECT row, fact, object_id, external_id, kind, provider, integration, amount,
    currency, occurred_at, received_at, metadata
FROM entries AS e
WHERE workspace = {workspace:String} AND live = {live:Bool} AND kind IN {kinds:Array(String)}
    AND occurred_at >= {first:DateTime64(6, 'UTC')} AND occurred_at <= {last:DateTime64(6, 'UTC')}
    AND row IN {rows:Array(UInt64)}
    AND sign > 0
[[- if .Whole]]
    AND [[template "chosen"]]
[[- end]]
LIMIT 1 BY row
