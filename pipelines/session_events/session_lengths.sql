-- One row per day and length, in whole minutes, of the sessions that were completed.
SELECT
  session_date,
  cast(floor((date_part('epoch', end_ts) - date_part('epoch', start_ts)) / 60) AS int)   AS minutes,
  count(*)                                                                              AS sessions
FROM sessions
WHERE is_complete AND NOT ends_before_start
GROUP BY session_date, cast(floor((date_part('epoch', end_ts) - date_part('epoch', start_ts)) / 60) AS int)
