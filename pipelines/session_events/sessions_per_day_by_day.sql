-- One row per day and country.
SELECT session_date AS day, country, starts, completed, seconds
FROM sessions_per_day
WHERE session_date IS NOT NULL AND country IS NOT NULL   -- the key; the view has no other rows
