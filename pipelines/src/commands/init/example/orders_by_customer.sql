-- One row per order.
SELECT customer, ordered_at, order_id, amount, coupon
FROM orders
