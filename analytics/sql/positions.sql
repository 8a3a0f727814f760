-- How far each slice has come: everything before it is in the ledger.
SELECT p.slice AS slice, argMax(p.epoch, (p.epoch, p.written_at)) AS at_epoch, argMax(p.offset, (p.epoch, p.written_at)) AS at_offset
FROM progress AS p
GROUP BY p.slice
ORDER BY p.slice
