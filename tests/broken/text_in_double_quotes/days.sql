SELECT day, sum(amount) AS amount, count(*) AS orders
FROM orders
WHERE country = "FI"
GROUP BY day
