SELECT day, sum(amount) AS amount, count(*) AS order_count
FROM orders
GROUP BY day
