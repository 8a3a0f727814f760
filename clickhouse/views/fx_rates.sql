-- Exchange rates, of each day as they were loaded last. They are everybody's.
CREATE OR REPLACE VIEW {{.Views}}.fx_rates
(
    day       Date COMMENT 'The day of the rate; for days without one the last before counts.',
    base      String COMMENT 'One unit of this currency ...',
    quote     String COMMENT '... is worth rate units of this one.',
    rate      Decimal(38, 18) COMMENT 'How many.',
    source    String COMMENT 'Who said so.',
    loaded_at DateTime64(6, 'UTC') COMMENT 'When it was loaded.'
)
SQL SECURITY INVOKER
AS SELECT day, base, quote, argMax(f.rate, f.loaded_at) AS rate, argMax(f.source, f.loaded_at) AS source, max(f.loaded_at) AS loaded_at
FROM {{.Tables}}.fx_rates AS f
GROUP BY day, base, quote
