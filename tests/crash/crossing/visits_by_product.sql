SELECT product, ts, visit, kind, who, amount FROM visits WHERE product IS NOT NULL
