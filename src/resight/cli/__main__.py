"""`python -m resight.cli`, for torchrun."""

from resight.cli.app import main

main()
