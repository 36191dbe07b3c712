SELECT flag, tiny, small, big, id, ratio FROM things
