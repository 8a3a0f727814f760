SELECT
    row, sign, known_at, workspace, fact_group, fact, object_id, version, kind, provider, account, integration, livemode,
    test_clock, occurred_at, ends_at, received_at, amount, tax, fee, discount, currency, recurring, mrr,
    subscriptions, customers, reason, customer, customer_name, country, subscription, invoice, payment, product,
    plan, quantity, interval, interval_count, payment_method, message, offer, contact, campaign, source, visitor,
    session, attribution_type, external_id, imported, metadata
FROM ledger
WHERE (workspace, fact_group) IN (SELECT workspace, fact_group FROM wanted)
