"""Data sets: what their files say, and clips ready for a network."""
