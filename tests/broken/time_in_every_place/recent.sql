SELECT customer, count(*) AS orders
FROM orders
WHERE day > current_date() - INTERVAL '7 days'
GROUP BY customer
