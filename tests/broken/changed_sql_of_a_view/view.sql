SELECT customer, sum(amount) AS amount FROM orders GROUP BY customer
