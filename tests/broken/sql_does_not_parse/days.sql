SELECT day, sum(amount) AS amount, count(*) AS orders
FORM orders
GROUP BY day
