SELECT customer, count(*) AS n FROM customers GROUP BY customer
