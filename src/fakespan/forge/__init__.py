"""Forging: practice examples for training, and whole data sets (`forge.studio`)."""
