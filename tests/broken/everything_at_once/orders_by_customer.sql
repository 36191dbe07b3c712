SELECT customer, ordered_at, order_id, ammount FROM orders
