-- Rows of the ledger that were stored between two positions, in order of both. What one
-- batch of the sink wrote has one place and comes together.
SELECT e.slice AS slice, e.epoch AS at_epoch, e.offset AS at_offset, e.row AS row, e.sign AS sign, e.known_at AS known_at,
    e.occurred_at AS occurred_at, e.received_at AS received_at, e.kind AS kind, e.provider AS provider, e.fact AS fact,
    e.object_id AS object_id, e.external_id AS external_id, e.currency AS currency, e.amount AS amount, e.mrr AS mrr,
    e.customer AS customer, e.subscription AS subscription, e.invoice AS invoice, e.product AS product, e.plan AS plan,
    e.reason AS reason
FROM entries AS e
WHERE e.workspace = {workspace:String} AND e.live AND [[template "after_blocks"]]
    AND (e.epoch, e.offset) >= ({from_epochs:Array(UInt64)}[e.slice + 1], {from_offsets:Array(Int64)}[e.slice + 1])
    AND (e.epoch, e.offset) < ({to_epochs:Array(UInt64)}[e.slice + 1], {to_offsets:Array(Int64)}[e.slice + 1])
ORDER BY e.slice, e.epoch, e.offset
LIMIT {size:UInt64} WITH TIES
