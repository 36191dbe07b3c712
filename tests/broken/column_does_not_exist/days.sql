SELECT day, sum(ammount) AS amount, count(*) AS orders
FROM orders
GROUP BY day
