SELECT day, sum(amount) AS amount, count(*) AS orders
FROM orders
WHERE ordered_at > now() - INTERVAL '7 days'
GROUP BY day
