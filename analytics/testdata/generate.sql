-- Entries [%[2]d, %[3]d) of %[5]d, made up evenly over %[7]d years up to 2026-07-01T12:00,
-- in the order of time as they would arrive: %[6]d workspaces, of which the n-th has
-- (n/%[6]d)^(1/3) of the entries with those before it, 3 providers, 2 currencies, 4 slices,
-- every kind, up to 200,000 customers a workspace. Every hundredth entry was corrected
-- once: three rows.
INSERT INTO %[1]s.ledger
    (topic_id, slice, epoch, offset, row, sign, known_at, workspace, fact_group, fact, object_id, version, family, kind,
    provider, account, integration, livemode, live, occurred_at, ends_at, received_at, amount, tax, fee, currency, recurring, mrr,
    subscriptions, customers, reason, customer, subscription, invoice, payment, product, plan, quantity, interval,
    interval_count, external_id, metadata)
WITH
    [%[4]s] AS epochs,
    [
        'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal',
        'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal',
        'purchase', 'purchase', 'purchase', 'purchase', 'purchase', 'purchase', 'purchase', 'purchase',
        'subscription_purchase', 'subscription_purchase', 'trial_start', 'trial_start', 'trial_conversion',
        'refund', 'cancellation', 'new', 'subscription_active', 'expansion', 'churn', 'subscription_inactive'
    ] AS kinds
SELECT
    'topic', n %% 4, epochs[n %% 4 + 1], n, cityHash64(n, corrected), sign, received_at, workspace,
    if(family = 'state', concat('cus_', toString(h %% 200000)), concat('g', toString(n))),
    concat('stripe|acct|live|obj_', hex(cityHash64(n)), '|charge'), concat('obj_', hex(cityHash64(n))), 1 + corrected,
    multiIf(kind IN ('new', 'expansion', 'churn', 'subscription_active', 'subscription_inactive'), 'state',
        kind IN ('trial_start', 'cancellation'), 'lifecycle', 'cash') AS family,
    kind, ['stripe', 'thrivestack', 'native'][n %% 17 %% 3 + 1], 'acct', 'we_1', true, true, occurred_at, toDateTime64(0, 6, 'UTC'),
    occurred_at + 5 AS received_at,
    multiIf(kind = 'refund', -1, kind IN ('renewal', 'purchase', 'subscription_purchase', 'trial_conversion'), 1, 0)
        * (500 + toInt64(h %% 10000) + corrected) AS amount,
    intDiv(amount, 10), intDiv(amount, 30), if(n %% 10 = 7, 'EUR', 'USD'), kind != 'purchase',
    multiIf(kind IN ('new', 'expansion'), 1, kind = 'churn', -1, 0) * toInt64(h %% 10000) * 10000,
    multiIf(kind = 'subscription_active', 1, kind = 'subscription_inactive', -1, 0),
    multiIf(kind = 'new', 1, kind = 'churn', -1, 0), '',
    concat('cus_', toString(h %% 200000)), concat('sub_', toString(h %% 250000)), concat('in_', hex(h)),
    concat('pi_', hex(h)), concat('prod_', toString(h %% 20)), concat('price_', toString(h %% 50)), 1, 'month', 1, '',
    concat('{"productId":"prod_', toString(h %% 20), '","note":"', hex(h), '"}')
FROM
(
    SELECT number AS n, cityHash64(number, 'h') AS h, kinds[h %% 40 + 1] AS kind,
        concat('ws_', toString(1 + toUInt32(floor(%[6]d * pow((cityHash64(number, 'w') %% 1000000) / 1000000, 3))))) AS workspace,
        toDateTime64('2026-07-01 12:00:00', 6, 'UTC') - toIntervalMicrosecond(intDiv((%[5]d - n) * toInt128(31536000000000 * %[7]d), %[5]d)) AS occurred_at,
        arrayJoin(if(n %% 100 = 3, [(1, 0), (-1, 0), (1, 1)], [(1, 0)])) AS change, change.1 AS sign, change.2 AS corrected
    FROM numbers(%[2]d, %[3]d - %[2]d)
)
SETTINGS max_insert_threads = 1
