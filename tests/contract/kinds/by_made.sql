SELECT made, id FROM things
