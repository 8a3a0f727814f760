INSERT INTO reservations (slice, until, written_at)
SELECT {slice:UInt16}, now64(6, 'UTC') + toIntervalMillisecond({milliseconds:Int64}), now64(6, 'UTC')
