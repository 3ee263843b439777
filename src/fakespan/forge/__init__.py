"""Forging: new words, sound and mouths for genuine clips, and data sets made of them (`forge.studio`)."""
