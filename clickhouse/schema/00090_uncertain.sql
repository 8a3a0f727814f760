-- Which statements may have a note that something of them is not known for sure
-- (revenue.Uncertainties): the groups with one are found by it, and folded. They are few, and
-- the index leaves out the granules without any. The sink says it of new statements, and of
-- those from before it follows from the statement, when it is read or merged.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS uncertain Bool
        DEFAULT kind IN ('charge', 'subscription', 'attribution')
            AND multiSearchAny(JSONExtractRaw(statement, 'metadata'), ['"mrr_unknown"', '"provisional"', '"estimated"', '"amount_estimated"']);

ALTER TABLE events
    ADD INDEX IF NOT EXISTS uncertain_index uncertain TYPE minmax GRANULARITY 1;
