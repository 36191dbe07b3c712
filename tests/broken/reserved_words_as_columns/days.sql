SELECT day, sum(amount) AS amount, count(order) AS orders
FROM orders
WHERE group <> 'test'
GROUP BY day
