SELECT day, country, sum(amount) AS amount FROM orders GROUP BY day, country
