"""Studies of how well our rules fit what real desks have logged."""
