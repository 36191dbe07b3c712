SELECT player_id, end_ts, session_id, country, start_ts FROM completed_sessions
