SELECT day, sum(amount) AS amount, count(*) AS orders
FROM orders
WHERE day + customer > 3
GROUP BY day
