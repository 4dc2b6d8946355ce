"""Service levels: what the desk promises, and how much of its working time is left."""
