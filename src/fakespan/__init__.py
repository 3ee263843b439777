"""fakespan finds the forged seconds of a video."""

__version__ = "0.1.0"
