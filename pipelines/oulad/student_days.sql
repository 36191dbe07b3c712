-- One row per student, presentation and day among the rows of a micro-batch; pipeline.toml says how it folds into the table.
SELECT
  code_module,
  code_presentation,
  id_student,
  event_date,
  sum(clicks)  AS clicks,
  count(*)     AS interactions
FROM interactions
GROUP BY code_module, code_presentation, id_student, event_date
