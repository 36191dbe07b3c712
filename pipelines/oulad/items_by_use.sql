-- One row per presentation and item.
SELECT code_module, code_presentation, clicks, id_site, activity_type, interactions, students
FROM item_popularity
WHERE clicks IS NOT NULL   -- part of the key; an item is only here because it was clicked on
