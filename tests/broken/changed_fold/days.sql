SELECT day, amount, 1 AS orders
FROM orders
