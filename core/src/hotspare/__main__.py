"""`python -m hotspare`."""

from hotspare._cli.entry import main

main()
