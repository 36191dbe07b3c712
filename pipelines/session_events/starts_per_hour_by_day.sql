-- One row per country and hour; of the view it is not known that it has no other.
SELECT event_date AS day, hour, country, starts
FROM starts_per_hour
WHERE country IS NOT NULL
