SELECT day, at, id, made, owner, place, flag, tiny, small, level, big, huge, price, ratio, share, data, note FROM things
