"""`python -m mailweir` is `mailweir`."""

from mailweir.app.cli import main

main()
