SELECT day, sum(amount) AS amount, count(DISTINCT customer) AS orders
FROM orders
GROUP BY day
