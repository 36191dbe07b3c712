SELECT customer, ordered_at, amount FROM orders
