SELECT day, sum(amount) AS amount, count(*) AS orders
FROM order
GROUP BY day
