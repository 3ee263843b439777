"""`python -m fakespan` is `fakespan`."""

from fakespan.cli import main

main()
