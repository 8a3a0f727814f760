-- How far what is stored reaches. Everything accepted before complete_through is in the
-- answers: the least of the slices, and 1970 while some slice has not said how far it
-- is. rates_version is another as soon as exchange rates are added, and now and then
-- when nothing was.
SELECT
    ifNull(
        (
            SELECT if(count() = {slices:UInt32}, min(through), NULL)
            FROM
            (
                SELECT argMax(complete_through, (epoch, written_at)) AS through
                FROM progress
                WHERE slice < {slices:UInt32}
                GROUP BY slice
            )
        ),
        toDateTime64(0, 6, 'UTC')
    ) AS complete_through,
    (SELECT concat(toString(count()), ' ', toString(max(loaded_at))) FROM fx_rates) AS rates_version
