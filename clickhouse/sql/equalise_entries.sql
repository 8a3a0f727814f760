-- Missing rows are copied, surplus rows are followed by as many of the opposite
-- sign, which every reader's sums take away.
INSERT INTO entries (topic_id, slice, epoch, offset, row, sign, known_at, workspace, fact_group, fact, object_id, version, family, kind,
    provider, account, integration, livemode, test_clock, live, occurred_at, ends_at, received_at, amount, tax, fee, discount,
    currency, recurring, mrr, subscriptions, customers, reason, customer, customer_name, country, subscription,
    invoice, payment, product, plan, quantity, interval, interval_count, payment_method, message, offer, contact,
    campaign, source, visitor, session, attribution_type, external_id, imported, metadata)
WITH differing AS
(
    SELECT slice, workspace, fingerprint, missing
    FROM
    (
{{template "difference_entries.sql"}}
    )
)
SELECT topic_id, slice, epoch, offset, row, toInt8(if(missing > 0, 1, -1)) AS sign, known_at, workspace, fact_group, fact, object_id, version, family, kind,
    provider, account, integration, livemode, test_clock, live, occurred_at, ends_at, received_at, amount, tax, fee, discount,
    currency, recurring, mrr, subscriptions, customers, reason, customer, customer_name, country, subscription,
    invoice, payment, product, plan, quantity, interval, interval_count, payment_method, message, offer, contact,
    campaign, source, visitor, session, attribution_type, external_id, imported, metadata
FROM
(
    SELECT *
    FROM
    (
        SELECT {{template "columns of entries"}}, {{template "fingerprint"}} AS fingerprint
        FROM ledger
        WHERE {{template "slices and workspaces"}} AND row % {parts:UInt64} = {part:UInt64}
        AND {{template "instants"}}
            AND (slice, workspace, fingerprint) IN (SELECT slice, workspace, fingerprint FROM differing)
        UNION ALL
        SELECT {{template "columns of entries"}}, {{template "fingerprint"}} AS fingerprint
        FROM entries
        WHERE {{template "slices and workspaces"}} AND row % {parts:UInt64} = {part:UInt64}
        AND {{template "instants"}}
            AND (slice, workspace, fingerprint) IN (SELECT slice, workspace, fingerprint FROM differing)
    )
    LIMIT 1 BY slice, workspace, fingerprint
) AS whole
INNER JOIN differing USING (slice, workspace, fingerprint)
ARRAY JOIN range(toUInt64(abs(missing))) AS copy
WHERE {{template "owned"}}
