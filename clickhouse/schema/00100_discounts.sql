-- Which statements say what a subscription is worth before discounts (revenue.Policy): answers
-- that ignore discounts find the groups with one, and fold those. They may be few, and the index
-- leaves out the granules without any. The sink says it of new statements, and of those from
-- before it follows from the statement, when it is read or merged.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS discounted Bool
        DEFAULT kind IN ('subscription', 'period') AND JSONHas(statement, 'mrr_before_discounts');

ALTER TABLE events
    ADD INDEX IF NOT EXISTS discounted_index discounted TYPE minmax GRANULARITY 1;
