-- Every statement that was accepted, superseded and repeated ones too.
CREATE OR REPLACE VIEW {{.Views}}.events
(
    workspace   String COMMENT 'Whose revenue it is.',
    provider    String COMMENT 'Who said so: stripe, trackly, native, ...',
    kind        String COMMENT 'What kind of fact it is about: charge, refund, subscription, ...',
    fact        String COMMENT 'The fact: of all statements about one, the highest version stands.',
    fact_group  String COMMENT 'The payment or customer that the fact belongs to.',
    version     Int64 COMMENT 'Orders the statements about one fact.',
    deleted     Bool COMMENT 'The statement takes the fact back.',
    occurred_at DateTime64(6, 'UTC') COMMENT 'When it happened.',
    received_at DateTime64(6, 'UTC') COMMENT 'When we accepted the statement.',
    slice       UInt16 COMMENT 'The Kafka partition that it came by.',
    offset      Int64 COMMENT 'Its offset there.',
    statement   String COMMENT 'The statement as it was in Kafka, JSON.'
)
SQL SECURITY INVOKER
AS SELECT workspace, provider, kind, fact, fact_group, version, deleted, occurred_at, received_at, slice, offset, statement
FROM {{.Tables}}.events
