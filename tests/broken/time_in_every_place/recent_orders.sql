SELECT customer, order_id, now() AS sent_at
FROM orders
