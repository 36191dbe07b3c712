SELECT s.day, s.product, count(*) AS stays, sum(s.amount) AS amount, max(p.price) AS price
FROM stays s LEFT JOIN prices p ON s.product = p.product
WHERE s.product IS NOT NULL AND s.day IS NOT NULL
GROUP BY s.day, s.product
