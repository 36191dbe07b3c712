SELECT customer, sum(order_id) / count(country) AS mean FROM orders GROUP BY customer
