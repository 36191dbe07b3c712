-- One row per presentation and item.
SELECT code_module, code_presentation, clicks, id_site, activity_type, interactions, students
FROM item_popularity
