SELECT customer, max(ordered_at) AS ordered_at, max(order_id) AS order_id FROM orders GROUP BY customer
