-- One row per start event, by country and hour.
SELECT country, date_trunc('hour', ts) AS hour, ts, session_id, player_id
FROM session_events
WHERE event = 'start'
