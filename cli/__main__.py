"""`python -m cli` is `dropsort`."""

from cli.main import main

main()
