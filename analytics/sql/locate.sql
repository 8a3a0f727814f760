-- How many items each month, day, hour or divided hour of a range has (see cuts.go):
-- enough to tell how many there are and where a page of them is. at and end_at are
-- Unix seconds.
SELECT at, max(end_at) AS end_at, sum(n) AS items
FROM
(
[[- if .Months]]
    SELECT toUInt32(toUInt16(m.month) * 86400) AS at, toUInt32(toUInt16(addMonths(m.month, 1)) * 86400) AS end_at, m.entries AS n
    FROM revenue_monthly AS m
    WHERE m.workspace = {workspace:String} AND m.live = {live:Bool}
        AND m.month >= {since_day:Date} AND m.month < {until_day:Date}
        AND m.month NOT IN {cut_months:Array(Date)} -- if cut_months
        AND m.kind IN {kinds:Array(String)}
        AND m.provider = {provider:String} -- if provider
    UNION ALL
[[- end]]
[[- if .Days]]
    SELECT toUInt32(toUInt16(d.day) * 86400) AS at, toUInt32(at + 86400) AS end_at, d.entries AS n
    FROM revenue_daily AS d
    WHERE d.workspace = {workspace:String} AND d.live = {live:Bool}
        AND d.day >= {since_day:Date} AND d.day < {until_day:Date}
        AND d.day NOT IN {cut_days:Array(Date)} -- if cut_days
    [[- if .Months]]
        AND toStartOfMonth(d.day) IN {cut_months:Array(Date)}
    [[- end]]
        AND d.kind IN {kinds:Array(String)}
        AND d.provider = {provider:String} -- if provider
[[- end]]
[[- if .Hours]]
    [[- if .Days]]
    UNION ALL
    [[- end]]
    SELECT toUnixTimestamp(h.hour) AS at, toUInt32(at + 3600) AS end_at, h.entries AS n
    FROM revenue_hourly AS h
    WHERE h.workspace = {workspace:String} AND h.live = {live:Bool}
        AND h.hour >= toStartOfHour({since:DateTime64(6, 'UTC')}) AND h.hour < {until:DateTime64(6, 'UTC')}
        AND toDate(h.hour) IN {cut_days:Array(Date)}
        AND h.hour NOT IN {cut_hours:Array(DateTime('UTC'))} -- if cut_hours
        AND h.kind IN {kinds:Array(String)}
        AND h.provider = {provider:String} -- if provider
[[- end]]
[[- if .Entries]]
    [[- if .Hours]]
    UNION ALL
    [[- end]]
    SELECT toUnixTimestamp(toStartOfHour(e.occurred_at)) AS at, toUInt32(at + 3600) AS end_at, toInt64(e.sign) AS n
    FROM entries AS e
    WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind IN {kinds:Array(String)}
        AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    [[- if .Whole]]
        AND [[template "chosen"]]
    [[- else]]
        AND toStartOfHour(e.occurred_at) IN {cut_hours:Array(DateTime('UTC'))}
    [[- end]]
        AND e.provider = {provider:String} -- if provider
[[- end]]
)
GROUP BY at
ORDER BY at
