-- One row per student who is registered for anything. Each of the three is brought to one row a student before they are
-- joined: joined first, days would be multiplied by submissions.
SELECT
  registered.id_student,
  registered.presentations,
  coalesce(days.active_days, 0)      AS active_days,
  coalesce(days.clicks, 0)           AS clicks,
  coalesce(handed_in.submissions, 0) AS submissions,
  handed_in.mean_score,
  days.first_activity,
  days.last_activity
FROM (
  SELECT id_student, count(*) AS presentations
  FROM registrations
  GROUP BY id_student
) AS registered
LEFT JOIN (
  SELECT
    id_student,
    count(DISTINCT event_date)  AS active_days,
    sum(clicks)                 AS clicks,
    min(event_date)             AS first_activity,
    max(event_date)             AS last_activity
  FROM student_days
  GROUP BY id_student
) AS days ON days.id_student = registered.id_student
LEFT JOIN (
  SELECT
    id_student,
    count(*)                   AS submissions,
    avg(cast(score as double)) AS mean_score
  FROM submissions
  GROUP BY id_student
) AS handed_in ON handed_in.id_student = registered.id_student
