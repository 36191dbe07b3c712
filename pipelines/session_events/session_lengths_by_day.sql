-- One row per day and length.
SELECT session_date AS day, minutes, sessions
FROM session_lengths
WHERE session_date IS NOT NULL AND minutes IS NOT NULL   -- the key; the view has no other rows
