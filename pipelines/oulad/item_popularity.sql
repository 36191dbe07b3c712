-- One row per presentation and item that was used in it. An item that the list of items no longer has keeps its clicks and
-- has no activity type.
SELECT
  used.code_module,
  used.code_presentation,
  used.id_site,
  vle.activity_type,
  used.clicks,
  used.interactions,
  used.students
FROM (
  SELECT
    code_module,
    code_presentation,
    id_site,
    sum(clicks)                 AS clicks,
    count(*)                    AS interactions,
    count(DISTINCT id_student)  AS students
  FROM interactions
  GROUP BY code_module, code_presentation, id_site
) AS used
LEFT JOIN vle
  ON  vle.code_module = used.code_module
  AND vle.code_presentation = used.code_presentation
  AND vle.id_site = used.id_site
