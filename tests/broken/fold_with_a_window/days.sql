SELECT day, amount, row_number() OVER (PARTITION BY day ORDER BY ordered_at) AS orders
FROM orders
