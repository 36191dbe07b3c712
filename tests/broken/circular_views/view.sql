SELECT country, count(*) AS n FROM countries GROUP BY country
