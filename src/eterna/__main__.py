"""`python -m eterna`."""

from eterna.cli.main import main

main()
