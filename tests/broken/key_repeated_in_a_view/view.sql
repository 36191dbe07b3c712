SELECT customer, country, sum(amount) AS amount FROM orders GROUP BY customer, country
