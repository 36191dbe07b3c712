-- One row per customer among the orders of a batch; pipeline.toml says how batches are folded.
SELECT
  customer,
  count(*)         AS orders,
  sum(amount)      AS spent,
  max(ordered_at)  AS latest
FROM orders
GROUP BY customer
