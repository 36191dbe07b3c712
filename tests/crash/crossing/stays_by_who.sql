SELECT who, end_ts, visit, product, start_ts, amount FROM stays WHERE who IS NOT NULL AND end_ts IS NOT NULL
