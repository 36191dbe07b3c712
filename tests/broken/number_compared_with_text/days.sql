SELECT day, sum(amount) AS amount, count(*) AS orders
FROM orders
WHERE amount > 'a lot'
GROUP BY day
