"""``python -m analogon`` is the command line."""

from analogon.cli import main

main()
