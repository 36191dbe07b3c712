SELECT country, count(*) AS orders FROM orders GROUP BY country
