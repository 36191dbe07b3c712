-- One row per country and hour.
SELECT event_date AS day, hour, country, starts
FROM starts_per_hour
