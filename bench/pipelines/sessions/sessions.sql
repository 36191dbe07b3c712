-- One row per session_id among the rows of a micro-batch; pipeline.toml says how it folds into the table.
SELECT
  session_id,
  min(player_id)                                                              AS player_id,
  first_value(country ORDER BY ts, country) FILTER (WHERE event = 'start')    AS country,
  min(ts) FILTER (WHERE event = 'start')                                      AS start_ts,
  max(ts) FILTER (WHERE event = 'end')                                        AS end_ts
FROM session_events
GROUP BY session_id
