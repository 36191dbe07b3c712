SELECT day, sum(amount) AS amount, count(*) AS orders
FROM shop.raw.orders
GROUP BY day
