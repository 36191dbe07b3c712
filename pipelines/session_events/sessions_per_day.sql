-- One row per day and country in which a session was started; seconds are those of the completed ones.
SELECT
  session_date,
  country,
  count(*)                                                             AS starts,
  count(*) FILTER (WHERE is_complete)                                  AS completed,
  coalesce(sum(cast(date_part('epoch', end_ts) - date_part('epoch', start_ts) AS bigint)) FILTER (WHERE is_complete), 0) AS seconds
FROM sessions
WHERE start_ts IS NOT NULL AND country IS NOT NULL
GROUP BY session_date, country
