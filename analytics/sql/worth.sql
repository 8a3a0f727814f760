[[- /* MRR of an entry by the profile, which may say that weeks and days are worth something
else. Each entry is rounded to 1/10,000 minor units by itself, halves away from zero: so the
same comes of entries however they are added up. */ -]]
[[- define "worth" -]]
e.mrr -- unless weighed
        toInt64(intDiv(2 * toInt128(e.mrr) * multiIf(e.interval = 'week', {week:Int64}, e.interval = 'day', {day:Int64}, {whole:Int64}) -- if weighed
            + sign(e.mrr) * {whole:Int64}, 2 * {whole:Int64})) -- if weighed
[[- end]]
