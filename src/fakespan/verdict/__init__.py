"""One label for a whole video out of its boundary maps: maps of a split (`maps`), a head fitted to them, its rating.

What this package does not know: how a map comes about (`fakespan.localizer`) and what the command line is called.
Modules are imported by their names; importing the package itself loads nothing.
"""
