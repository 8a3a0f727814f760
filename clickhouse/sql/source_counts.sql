-- What the webhook endpoints of a workspace heard between two moments, by what is
-- counted: events by type and outcome, events by API version, refusals by reason.
WITH latest AS
(
    SELECT endpoint, received_at, refusal, types, versions, outcomes
    FROM deliveries
    WHERE workspace = {workspace:String}
        AND received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
    ORDER BY id, revision DESC
    LIMIT 1 BY id
)
SELECT endpoint, what, name, detail, count() AS n, max(received_at) AS last
FROM
(
    SELECT endpoint, received_at, 'event' AS what, toString(type) AS name, toString(outcome) AS detail
    FROM latest ARRAY JOIN types AS type, outcomes AS outcome
    WHERE refusal = ''
    UNION ALL
    SELECT endpoint, received_at, 'version', toString(version), ''
    FROM latest ARRAY JOIN versions AS version
    WHERE version != ''
    UNION ALL
    SELECT endpoint, received_at, 'refusal', toString(refusal), ''
    FROM latest
    WHERE refusal != ''
)
GROUP BY endpoint, what, name, detail
ORDER BY endpoint, what, n DESC, name, detail
