SELECT customer, ordered_at, order_id, amount FROM orders
