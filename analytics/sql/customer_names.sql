-- What customers are called: the name that was said last, of those that are believed.
SELECT customer, argMax(called, said) AS name
FROM
(
    SELECT e.customer AS customer, e.customer_name AS called, max((e.occurred_at, e.known_at)) AS said
    FROM entries AS e
    WHERE e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.customer IN {customers:Array(String)} AND e.customer_name != ''
        AND e.occurred_at >= {since:DateTime64(6, 'UTC')} -- if since
        AND e.provider = {provider:String} -- if provider
        AND [[template "chosen"]]
    GROUP BY customer, called, e.row
    HAVING sum(e.sign) > 0
)
GROUP BY customer
