"""`python -m pipelines` is `provender`."""

from pipelines.cli import main

main()
