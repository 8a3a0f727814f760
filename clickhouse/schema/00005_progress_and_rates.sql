-- How far each slice has come. Everything accepted before the least
-- complete_through of all slices is in the answers. Only a hint: what is lost
-- of it makes answers look older than they are. Of a slice the row of the highest
-- epoch stays, and of that the last: a writer that was taken over may still write.
CREATE TABLE IF NOT EXISTS progress
(
    slice            UInt16,
    epoch            UInt64,
    offset           Int64,
    complete_through DateTime64(6, 'UTC'),
    written_at       DateTime64(6, 'UTC')
)
ENGINE = {{.Engine "progress" "ReplacingMergeTree" "epoch"}}
ORDER BY slice;

-- One unit of base is worth rate units of quote on that day, as was known from
-- loaded_at on. Corrected rates stay, for what was known before.
CREATE TABLE IF NOT EXISTS fx_rates
(
    day       Date,
    base      LowCardinality(String),
    quote     LowCardinality(String),
    rate      Decimal(38, 18),
    source    LowCardinality(String),
    loaded_at DateTime64(6, 'UTC')
)
ENGINE = {{.Engine "fx_rates" "ReplacingMergeTree" "loaded_at"}}
ORDER BY (quote, base, day, loaded_at)
SETTINGS {{.Settings}};
