SELECT * FROM orders JOIN refunds ON orders.order_id = refunds.order_id
