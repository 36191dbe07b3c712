-- One row per presentation and day on which anybody did anything.
SELECT
  code_module,
  code_presentation,
  event_date,
  count(DISTINCT id_student)  AS active_students,
  count(DISTINCT id_site)     AS sites,
  sum(clicks)                 AS clicks
FROM interactions
GROUP BY code_module, code_presentation, event_date
