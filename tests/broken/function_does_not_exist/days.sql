SELECT day, sum(ifnul(amount, 0)) AS amount, count(*) AS orders
FROM orders
GROUP BY day
