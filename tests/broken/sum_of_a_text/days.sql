SELECT day, max(customer) AS customer, sum(amount) AS amount, count(*) AS orders
FROM orders
GROUP BY day
