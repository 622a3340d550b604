"""How large a study is: text, base model, steps, seeds. The code path is the same for all sizes."""

from typing import Any, Literal

from pydantic import Field

from corpus.settings import Settings
from trainer.model.fresh import FreshModel

Kind = Literal["wikipedia", "essays", "docs", "code", "handbook", "german"]


class TextSize(Settings):
    """Characters of each kind of text, besides what is held out, and of the pool that selection chooses from."""

    train: dict[Kind, int]
    test: int = Field(description="of each kind, held out by file or article")
    pool: int = Field(description="of each kind in the pool")
    piece: int = Field(1200, description="longest document: files are cut between paragraphs")


class SmolSize(Settings):
    """The cells on SmolLM2-135M, which trains about a hundred tokens a second on two cores."""

    sequence_length: int = 256
    global_batch: int = 2
    steps: int
    learning_rate: float = 1e-4
    test_tokens: int = Field(description="of each measured set")


class Batch(Settings):
    """Sequences in a step, all in one pass: of the base's pre-training and of a cell."""

    base: int
    cell: int


class StudySize(Settings):
    """One size of the study."""

    name: str
    texts: TextSize
    vocabulary: int = 4096
    model: FreshModel
    sequence_length: int = 256
    batch: Batch
    base_steps: int
    base_rate: float = 3e-3
    steps: int = Field(description="of a cell")
    learning_rate: float = 2e-3
    seeds: tuple[int, ...] = Field(description="of the headline cells; the others have the first")
    test_tokens: int = Field(description="of each measured set")
    selected: float = Field(0.1, description="share of the pool that selection takes")
    smollm2: SmolSize | None

    def of_rows(self, smollm2: bool) -> dict[str, Any]:
        """What of the size the rows on our own base, or on SmolLM2, are a function of; not which seeds there are."""
        plain = self.identity()
        del plain["seeds"], plain["name"]
        own = plain.pop("smollm2")
        return {"texts": plain["texts"], "smollm2": own} if smollm2 else plain


MB = 1_000_000

QUICK = StudySize(
    name="quick",
    texts=TextSize(
        train={
            "wikipedia": 3 * MB, "essays": 5 * MB, "docs": 2 * MB, "code": 2 * MB,
            "handbook": MB // 2, "german": MB // 2,
        },
        test=100_000,
        pool=250_000,
    ),
    vocabulary=2048,
    model=FreshModel(layers=3, hidden_size=96, heads=3),
    batch=Batch(base=2, cell=4),
    base_steps=4000,
    steps=60,
    seeds=(0,),
    test_tokens=20_000,
    smollm2=SmolSize(steps=8, test_tokens=1500),
)  # fmt: skip

FULL = StudySize(
    name="full",
    texts=TextSize(
        train={
            "wikipedia": 5 * MB, "essays": 18 * MB, "docs": 5 * MB, "code": 6 * MB, "handbook": MB, "german": MB,
        },
        test=250_000,
        pool=1_500_000,
    ),
    model=FreshModel(layers=4, hidden_size=192, heads=6),
    batch=Batch(base=4, cell=8),
    base_steps=9600,
    steps=150,
    seeds=(0, 1, 2),
    test_tokens=50_000,
    smollm2=SmolSize(steps=24, test_tokens=4000),
)  # fmt: skip
