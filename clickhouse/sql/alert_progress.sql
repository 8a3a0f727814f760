-- Until when everything was looked at for alerts. A shard may have an older answer.
SELECT toUnixTimestamp64Micro(max(through)) AS through FROM alert_progress
