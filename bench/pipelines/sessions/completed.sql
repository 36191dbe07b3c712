-- One row per session of which both events were received.
SELECT player_id, end_ts, session_id, country, start_ts
FROM sessions
WHERE is_complete
