SELECT if(count() = 0, 0, max(offset) + 1) AS until
FROM ledger
WHERE topic_id = {topic_id:String} AND slice = {slice:UInt16}
