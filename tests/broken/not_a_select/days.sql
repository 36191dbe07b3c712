DELETE FROM orders WHERE amount = 0
