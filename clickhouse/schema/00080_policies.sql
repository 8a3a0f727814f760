-- Which statements others may judge otherwise than the house (revenue.Policy): answers by
-- their definitions find the groups with one, and fold those. The sink says it of new ones,
-- and of those from before it follows from the statement, when it is read or merged.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS past_due Bool
        DEFAULT kind = 'subscription' AND JSONExtractString(statement, 'status') = 'past_due',
    ADD COLUMN IF NOT EXISTS ending Bool
        DEFAULT kind = 'cancellation' OR kind = 'subscription' AND (JSONHas(statement, 'cancel_requested_at')
            OR JSONHas(statement, 'ends_at') OR JSONExtractString(statement, 'status') = 'canceled');
