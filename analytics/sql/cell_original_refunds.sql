-- Charges of the range, and refunds whose charge was made in it, or with no charge known.
(
    e.kind != 'refund' AND e.occurred_at >= {since:DateTime64(6, 'UTC')} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
    OR e.kind = 'refund' AND (e.occurred_at, e.row) IN
    (
        SELECT at, row
        FROM
        (
            [[template "refund_moments" .]]
        )
        WHERE moment >= {since:DateTime64(6, 'UTC')} AND moment < {until:DateTime64(6, 'UTC')}
            AND NOT found -- if lone
    )
)
