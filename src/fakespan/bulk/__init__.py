"""Very many files: listed, scanned by warm worker processes on this machine or on a Ray cluster, written to a table.

`run.scan_all` does it. A worker is a process (`child`) and its keeper (`worker`): a file that kills the process costs
nothing else. docs/bulk.md
"""
