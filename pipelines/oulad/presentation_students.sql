-- One row per student and presentation: the registration, and what is known of the student.
SELECT
  registrations.code_module,
  registrations.code_presentation,
  registrations.id_student,
  registrations.is_registered,
  registrations.registered_on,
  registrations.unregistered_on,
  student_info.final_result,
  student_info.region,
  student_info.age_band,
  student_info.imd_band
FROM registrations
LEFT JOIN student_info
  ON  student_info.code_module = registrations.code_module
  AND student_info.code_presentation = registrations.code_presentation
  AND student_info.id_student = registrations.id_student
