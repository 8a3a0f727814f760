-- Statements in the order of their export, as the table lies: by group and fact.
SELECT e.provider AS provider, e.kind AS kind, e.fact AS fact, e.fact_group AS fact_group, e.version AS version,
    e.deleted AS deleted, e.occurred_at AS occurred_at, e.received_at AS received_at, e.slice AS slice,
    e.offset AS offset, e.statement AS statement
FROM events AS e
WHERE [[template "exported_events" .]]
ORDER BY e.fact_group, e.fact, e.version, e.slice, e.offset
LIMIT {size:UInt64} WITH TIES
[[- define "exported_events" -]]
e.workspace = {workspace:String}
    AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    AND e.received_at > {known_after:DateTime64(6, 'UTC')} AND e.received_at <= {as_of:DateTime64(6, 'UTC')}
    AND e.fact_group >= {after_group:String} -- if after
    AND (e.fact_group, e.fact, e.version, e.slice, e.offset) > -- if after
        ({after_group:String}, {after_fact:String}, {after_version:Int64}, {after_slice:UInt16}, {after_offset:Int64}) -- if after
    AND (e.fact_group, e.fact, e.version, e.slice, e.offset) <= -- if last
        ({last_group:String}, {last_fact:String}, {last_version:Int64}, {last_slice:UInt16}, {last_offset:Int64}) -- if last
    AND e.provider = {provider:String} -- if provider
[[- end]]
