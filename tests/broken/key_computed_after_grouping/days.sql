SELECT date_format(day, 'yyyy-MM-dd') AS day, sum(amount) AS amount, count(*) AS orders
FROM orders
GROUP BY day
