SELECT order_id, sum(amount) AS refunded
FROM orders JOIN refunds ON orders.order_id = refunds.order_id
GROUP BY order_id
