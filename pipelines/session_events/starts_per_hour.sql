-- One row per country and hour in which a session was started.
SELECT event_date, date_trunc('hour', ts) AS hour, country, count(*) AS starts
FROM session_events
WHERE event = 'start' AND country IS NOT NULL
GROUP BY event_date, date_trunc('hour', ts), country
