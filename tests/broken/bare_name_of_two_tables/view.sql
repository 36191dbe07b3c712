SELECT customer, count(*) AS n FROM orders GROUP BY customer
