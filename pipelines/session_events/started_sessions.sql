-- One row per start event.
SELECT country, event_date AS day, ts, session_id, player_id
FROM session_events
WHERE event = 'start'
