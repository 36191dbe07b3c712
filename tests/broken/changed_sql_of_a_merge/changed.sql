SELECT day, sum(amount) AS amount, count(*) AS orders
FROM orders
WHERE amount > 8
GROUP BY day
