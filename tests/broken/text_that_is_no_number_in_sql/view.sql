SELECT customer, sum(cast(country AS int)) AS total FROM orders GROUP BY customer
