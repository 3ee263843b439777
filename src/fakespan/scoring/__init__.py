"""What proposals are worth: anybody's files against a published truth. Numbers and tables; no torch, no network.

`proposals` reads and writes the files, `truth` reads the metadata, `score` gives every number, `rating` and `table` the
published table. Modules are imported by their names; importing the package itself loads nothing.
"""
