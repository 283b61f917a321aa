"""`python -m dropsort.cli` is `dropsort`."""

from dropsort.cli.main import main

main()
