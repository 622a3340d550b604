"""Multiple-choice tasks from local files, scored by likelihood: no generation, no network, no prompt engine.

A file has one question a line, {"question": "…", "choices": ["…", …], "answer": 0}. Each choice is scored by the nats
of its tokens after the question; the least is the model's answer, as it stands (`accuracy`) and per byte of the choice
(`accuracy_per_byte`, which long choices do not lose). Choices are packed into rows as documents are, so a task costs
what its tokens cost.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from corpus.errors import ConfigError, DataError
from mixing.batch import IGNORE
from trainer.evaluation.evaluate import EvaluationRows, Window, pack_windows
from trainer.settings import TaskSettings


@dataclass(frozen=True)
class Task:
    """`rows` hold every choice as a document; `question` int64 [choices] is the question each belongs to, `right`
    int64 [questions] the index of the right one among all choices."""

    rows: EvaluationRows
    question: np.ndarray
    right: np.ndarray


def load_task(name: str, settings: TaskSettings, tokenizer: Path, length: int) -> Task:
    """A task in rows of `length` tokens. Questions too long for a row lose their beginning.

    Raises ConfigError when there is no file or no tokenizer, DataError naming the line that is no question.
    """
    if not settings.path.is_file():
        raise ConfigError("the task has no file", where=f"train.tasks.{name}.path", found=settings.path)
    if not tokenizer.is_file():
        raise ConfigError("tasks need the model's tokenizer.json", where=tokenizer.parent, todo="add it to the model")
    encode = Tokenizer.from_file(str(tokenizer))
    windows: list[Window] = []
    owners: list[int] = []
    right: list[int] = []
    nbytes: list[int] = []
    for number, (question, choices, answer) in enumerate(_questions(settings)):
        context = settings.prefix + question
        asked = encode.encode(context, add_special_tokens=False).ids
        right.append(len(owners) + answer)
        for choice in choices:
            text = settings.separator + choice
            tokens = encode.encode(context + text, add_special_tokens=False).ids
            # The question's tokens may merge with the choice's first ones: what differs from them is the choice.
            known = min(_common(asked, tokens), len(tokens) - 1)
            windows.append(_window(tokens, known, length, document=len(owners)))
            owners.append(number)
            nbytes.append(max(len(choice.encode()), 1))
    if not owners:
        raise DataError("the task holds no question", where=settings.path, todo="add a line, or take the task out")
    rows = pack_windows([[window] for window in windows], length, np.array(nbytes))
    return Task(rows, np.array(owners), np.array(right))


def _questions(settings: TaskSettings) -> Iterator[tuple[str, Sequence[str], int]]:
    with open(settings.path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if settings.limit is not None and number > settings.limit:
                return
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                question, choices = str(entry[settings.question]), list(map(str, entry[settings.choices]))
                answer = entry[settings.answer]
                index = answer if isinstance(answer, int) else choices.index(str(answer))
                choices[index]
                if not question or len(choices) < 2 or index < 0 or not all(choices):
                    raise ValueError("a question needs a text, two choices that are not empty, and an answer")
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise DataError(
                    "not a question with choices and an answer",
                    where=f"{settings.path}:{number}",
                    found=f"{type(error).__name__}: {error}",
                    todo=f"keys asked for: {settings.question}, {settings.choices}, {settings.answer}",
                ) from None
            yield question, choices, index


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens two lists share."""
    pairs = zip(one, other, strict=False)
    return next((index for index, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _window(tokens: Sequence[int], known: int, length: int, document: int) -> Window:
    """inputs, labels, positions and document of one choice; labels only where the choice's own tokens are predicted."""
    kept = np.array(tokens[-(length + 1) :], np.int64)
    first = max(known - (len(tokens) - len(kept)), 1)  # the first token predicted, as an index into `kept`
    inputs, labels = kept[:-1], kept[1:].copy()
    labels[: first - 1] = IGNORE
    if len(inputs) == 0:  # a choice of one token after an empty question: nothing to predict it from
        inputs, labels = kept, np.array([IGNORE])
    return np.stack([inputs, labels, np.arange(len(inputs)), np.full(len(inputs), document)])


def answered(task: Task, nats: np.ndarray) -> Mapping[str, Any]:
    """The figures of a task from the nats of its choices [choices]: accuracies, their binomial standard errors, and the
    mean probability of the right choice among the choices."""
    per_byte = nats / task.rows.document_bytes
    count = len(task.right)
    plain, relative, belief = 0, 0, 0.0
    for number in range(count):
        mine = np.flatnonzero(task.question == number)
        plain += int(mine[np.argmin(nats[mine])] == task.right[number])
        relative += int(mine[np.argmin(per_byte[mine])] == task.right[number])
        likelihood = np.exp(nats[mine].min() - nats[mine])
        belief += float(likelihood[mine == task.right[number]].sum() / likelihood.sum())
    return {
        "questions": count,
        "accuracy": plain / count,
        "accuracy_se": _error(plain / count, count),
        "accuracy_per_byte": relative / count,
        "accuracy_per_byte_se": _error(relative / count, count),
        "right_probability": belief / count,
    }


def _error(share: float, count: int) -> float | None:
    """√(p(1 − p)/(n − 1)); None for a single question."""
    return math.sqrt(share * (1 - share) / (count - 1)) if count > 1 else None
