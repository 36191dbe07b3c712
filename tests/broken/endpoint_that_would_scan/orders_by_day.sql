SELECT day, ordered_at, order_id, country, amount FROM orders
