SELECT product, max(price) AS price FROM products GROUP BY product
