-- One row per student and presentation.
SELECT
  code_module,
  code_presentation,
  id_student,
  min(registered_on)    AS registered_on,
  max(unregistered_on)  AS unregistered_on
FROM student_registration
GROUP BY code_module, code_presentation, id_student
