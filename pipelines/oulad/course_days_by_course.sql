-- One row per presentation and day.
SELECT code_module, code_presentation, event_date, active_students, sites, clicks
FROM course_days
