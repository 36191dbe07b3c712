SELECT
  visit,
  first_value(who ORDER BY ts, who) FILTER (WHERE kind = 'start')         AS who,
  last_value(product ORDER BY ts, product NULLS FIRST) FILTER (WHERE kind = 'end')    AS product,
  min(ts) FILTER (WHERE kind = 'start')                                   AS start_ts,
  max(ts) FILTER (WHERE kind = 'end')                                     AS end_ts,
  sum(amount)                                                             AS amount,
  bool_or(kind = 'cancel')                                                AS is_cancelled
FROM visits
GROUP BY visit
