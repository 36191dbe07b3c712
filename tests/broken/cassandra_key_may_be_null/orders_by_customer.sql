SELECT country, ordered_at, order_id, amount FROM orders
