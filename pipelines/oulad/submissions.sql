-- One row per assessment and student: the last submission, and the better score of two on one day.
SELECT
  id_assessment,
  id_student,
  max(date_submitted)                                            AS submitted_day,
  last_value(score ORDER BY date_submitted, score NULLS FIRST)   AS score,
  bool_or(is_banked = 1)                                         AS is_banked
FROM student_assessment
GROUP BY id_assessment, id_student
