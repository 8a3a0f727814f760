SELECT group_hash
FROM events
WHERE slice = {slice:UInt16}
