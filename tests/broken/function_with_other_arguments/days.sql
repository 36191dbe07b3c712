SELECT day, sum(substr(amount)) AS amount, count(*) AS orders
FROM orders
GROUP BY day
