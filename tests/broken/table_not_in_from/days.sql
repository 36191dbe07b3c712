SELECT day, sum(amount) AS amount, count(*) AS orders
FROM customers
GROUP BY day
