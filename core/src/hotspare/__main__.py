"""`python -m hotspare`."""

from hotspare.cli import main

main()
