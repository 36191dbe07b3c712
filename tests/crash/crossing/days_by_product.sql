SELECT product, day, stays, amount, price FROM days WHERE product IS NOT NULL AND day IS NOT NULL
