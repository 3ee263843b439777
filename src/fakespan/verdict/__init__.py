"""Video-level labels from boundary maps: stored maps of a split (`maps`), fitting of a head, and its evaluation.

Maps are computed by `fakespan.localizer`. Import the modules by name; importing the package itself loads nothing.
"""
