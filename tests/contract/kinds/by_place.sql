SELECT place, day, level, at, id, note FROM things
