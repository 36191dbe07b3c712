SELECT customer, ordered_at, order_id, amount FROM orders ORDER BY amount DESC LIMIT 10
