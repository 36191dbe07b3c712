SELECT owner, day, level, id, note, price FROM things
