-- One row per student.
SELECT id_student, presentations, active_days, clicks, submissions, mean_score, first_activity, last_activity
FROM student_overview
