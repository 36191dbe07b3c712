-- One row per student, presentation and day.
SELECT id_student, event_date, code_module, code_presentation, clicks, interactions
FROM student_days
