SELECT group, ordered_at, order, amount FROM orders
