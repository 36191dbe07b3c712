SELECT id, at, owner, huge, data FROM things
