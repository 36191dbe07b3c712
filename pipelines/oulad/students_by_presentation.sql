-- One row per student and presentation.
SELECT
  code_module, code_presentation, id_student, is_registered, registered_on, unregistered_on, final_result, region, age_band,
  imd_band
FROM presentation_students
