SELECT day, ordered_at, order_id, amount FROM orders
