SELECT day, avg(amount) AS mean, sum(amount) AS amount, count(*) AS orders
FROM orders
GROUP BY day
