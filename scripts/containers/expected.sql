-- What the API has to answer, from the lake (compare.py). All countries; of the players, those with the most sessions.
SELECT 'country' AS what, country AS name, count(*) AS count FROM raw.session_events WHERE event = 'start' GROUP BY country
UNION ALL
(SELECT 'player', cast(player_id AS varchar), count(*) FROM use_case.sessions WHERE is_complete GROUP BY player_id ORDER BY 3 DESC, 2 LIMIT 100)
UNION ALL
SELECT 'all', name, count(*) FROM raw.session_events, (VALUES ('by hour'), ('in all')) AS names(name) WHERE event = 'start' GROUP BY name
