SELECT customer, count(*), sum(amount) * 2 FROM orders GROUP BY customer
