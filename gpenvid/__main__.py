"""`python -m gpenvid`."""

from gpenvid.cli import main

main()
