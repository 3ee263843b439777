"""Scoring of proposals files against the labels of a published data set. Metrics and tables; needs no torch.

`proposals` reads and writes the files, `truth` reads the metadata, `score` computes all metrics, `rating` and `table`
the published table. Import the modules by name; importing the package itself loads nothing.
"""
