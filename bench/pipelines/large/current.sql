-- Each update as it is: of those with one key, pipeline.toml says which one stays.
SELECT day, id, updated_at, player, country, amount, score, note
FROM updates
