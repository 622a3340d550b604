"""The public Python interface: modules whose public names a program of yours may use, in the order of the data flow.

mkdocstrings writes the pages from docstrings and signatures. A module that is not named here is an inner part: it may
change without a line in the changelog.
"""

INTERFACE: dict[str, tuple[str, ...]] = {
    "corpus": (
        "corpus.document", "corpus.step", "corpus.rules", "corpus.artifact", "corpus.ledger", "corpus.prepare",
        "corpus.tokens.store", "corpus.tokens.counts", "corpus.quality.training", "corpus.perplexity.estimate",
        "corpus.dedup.curve", "corpus.dedup.members", "corpus.deidentify.evaluate", "corpus.forget",
    ),
    "mixing": (
        "mixing.budget", "mixing.schedule", "mixing.compile", "mixing.plan", "mixing.loader", "mixing.view",
        "mixing.batch", "mixing.order", "mixing.packing", "mixing.simulate", "mixing.select.dsir",
        "mixing.select.cross_entropy", "mixing.laws.exponential", "mixing.laws.power", "mixing.laws.dcpt",
        "mixing.laws.critical", "mixing.laws.repetition", "mixing.laws.optimum",
    ),
    "trainer": (
        "trainer.model.packed", "trainer.head.fused", "trainer.schedules", "trainer.regularizers.kl",
        "trainer.regularizers.ewc", "trainer.regularizers.anchor", "trainer.regularizers.das",
        "trainer.regularizers.ema", "trainer.loop", "trainer.evaluation.evaluate", "trainer.evaluation.gate",
        "trainer.checkpoints.checkpoint", "trainer.checkpoints.merge", "trainer.batches.torch_dataset",
        "trainer.evaluation.generate",
    ),
    "pipelines": (
        "pipelines.recipe", "pipelines.stages", "pipelines.audit.views", "pipelines.audit.corpus_questions",
        "pipelines.audit.token_questions", "pipelines.audit.training_questions", "pipelines.audit.batch_questions",
        "pipelines.audit.document", "pipelines.audit.differences", "pipelines.audit.verify", "pipelines.hub",
    ),
}  # fmt: skip


def interface_pages() -> dict[str, str]:
    """Page → Markdown that mkdocstrings fills."""
    return {
        f"reference/{floor}.md": "\n".join((f"# {floor}\n", *(f"::: {module}\n" for module in modules)))
        for floor, modules in INTERFACE.items()
    }
