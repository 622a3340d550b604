"""The study: does what the toolkit offers against forgetting work, on models small enough that anyone can rerun it.

    texts ─► corpus ─► base, pre-trained by us ─► a grid of cells: mix, train, measure ─► verdicts ─► docs/study.md

Every cell is an artefact of its own, keyed by what it is a function of. It is made by the stages that a person runs, so
its plan, run and ledger lie in a workspace like any other.
"""
