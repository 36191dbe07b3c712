SELECT customer, sum(amount) AS amount, count(*) AS orders FROM orders GROUP BY customer
