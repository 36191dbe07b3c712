SELECT customer, max(amount) AS amount FROM orders GROUP BY customer
