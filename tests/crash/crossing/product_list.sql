SELECT product, price, name FROM products
