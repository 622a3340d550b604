"""The step: personal data out of the text, spans and counts into columns.

text ─► scanner ─► policy by type ─► text, deidentify.spans, deidentify.counts, deidentify.density
"""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationInfo, field_validator, model_validator

from corpus.deidentify import dates, phone
from corpus.deidentify.evidence import COUNTS, SPANS, Evidence
from corpus.deidentify.generalise import GENERALISERS
from corpus.deidentify.key import Key
from corpus.deidentify.national import COUNTRIES
from corpus.deidentify.ner import NerFinder, NerSettings
from corpus.deidentify.network import Ranges
from corpus.deidentify.profiles import (
    DEFAULT_TYPES,
    GENERALISED,
    TYPES,
    Policy,
    Profile,
    Search,
    default_policy,
    scanner,
)
from corpus.deidentify.replace import Deidentifier, tag
from corpus.deidentify.scanner import Scanner
from corpus.deidentify.surrogates import surrogate
from corpus.document import SUBJECT, Batch
from corpus.rules import Rule, at_most
from corpus.settings import Settings
from corpus.step import Step

SHIFTED = "deidentify.shifted"  # the metadata field that names the key dates were shifted with
_GROUP = 1 << 20  # bytes of text that are scanned at once: few calls, and still in the cache


class DeidentifySettings(Settings):
    """Personal data is found by type and replaced by policy: `tag` ([EMAIL]), `surrogate` (keyed, of the same form,
    nobody's), `generalise` (a date to its year), `shift` (dates), `keep` (not looked for)."""

    kind: Literal["deidentify"] = "deidentify"
    profile: Profile = Field("web", description="What the text is: it sets how strictly types are recognised.")
    types: tuple[str, ...] | None = Field(
        None, description=f"Types to look for, of {', '.join(TYPES)}; without, those of the profile."
    )
    countries: tuple[str, ...] | None = Field(
        None, description=f"Whose numbers and plates are looked for, of {', '.join(COUNTRIES)}; without, all."
    )
    phone_regions: tuple[str, ...] = Field(("US",), description="Whose telephone numbers need no word that says so.")
    ip_ranges: Ranges | None = Field(None, description="all, routable or public addresses; without, as the profile.")
    license_headers: Literal["mask", "keep"] = Field("mask", description="E-mail addresses of authors in source code.")
    ner: NerSettings | None = Field(None, description="A model that finds names beside the rules.")
    replace: Literal["surrogate", "tag"] = Field("surrogate", description="What stands for a value; tags need no key.")
    policy: dict[str, Policy] = Field({}, description="Policy by type, where it differs from the profile's.")
    key_file: str | None = Field(None, description="File that holds the key of the surrogates, 16 bytes or more.")
    key_env: str | None = Field("PROVENDER_DEID_KEY", description="Environment variable with the key, without a file.")
    subject: str | None = Field(
        SUBJECT, description="Metadata field naming the patient, whose dates shift together; null: each document apart."
    )
    shift_days: int = Field(365, ge=1, le=3650, description="Dates shift by 1 to this many days, back or forth.")
    shift_weekdays: bool = Field(False, description="Dates shift by whole weeks, so that a Monday stays a Monday.")
    remove_above: float | None = Field(
        None, gt=0, le=1, description="Drop a document when a larger share of its characters was personal data."
    )

    @field_validator("types")
    @classmethod
    def _known_types(cls, types: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for type in types or ():
            _require_known(type)
        return types

    @field_validator("countries", "phone_regions")
    @classmethod
    def _known_regions(cls, named: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        known = COUNTRIES if info.field_name == "countries" else phone.REGIONS
        for region in named or ():
            if region not in known:
                raise ValueError(f"unknown country {region}, known: {', '.join(known)}")
        return named

    @field_validator("policy")
    @classmethod
    def _applicable_policies(cls, policy: dict[str, Policy]) -> dict[str, Policy]:
        for type, name in policy.items():
            _require_known(type)
            if name == "shift" and type != "DATE":
                raise ValueError(f"{type}: the policy shift is for DATE only")
            if name == "generalise" and type not in GENERALISED:
                raise ValueError(f"{type}: the policy generalise is for {', '.join(GENERALISED)}")
            if name == "surrogate" and type in GENERALISED:
                raise ValueError(f"{type}: the policies are tag, generalise, keep, and for DATE shift")
        return policy

    @model_validator(mode="after")
    def _a_week_at_least(self) -> Self:
        if self.shift_weekdays and self.shift_days < 7:
            raise ValueError(f"shift_weekdays needs shift_days of 7 or more, found {self.shift_days}")
        return self

    @model_validator(mode="after")
    def _no_idle_policy(self) -> Self:
        idle = sorted(set(self.policy) - set(self.looked_for))
        if idle:
            raise ValueError(f"policy for {', '.join(idle)}, which types does not name")
        return self

    def search(self) -> Search:
        return Search(self.profile, self.countries, self.phone_regions, self.ip_ranges, self.license_headers)

    @property
    def looked_for(self) -> tuple[str, ...]:
        return self.types if self.types is not None else DEFAULT_TYPES[self.profile]

    def policies(self) -> dict[str, Policy]:
        """The policy of each type that is looked for."""
        chosen = {
            type: self.policy.get(type) or default_policy(self.profile, type, self.replace)
            for type in sorted(self.looked_for)
        }
        return {type: name for type, name in chosen.items() if name != "keep"}

    @property
    def keyed(self) -> bool:
        return not {"surrogate", "shift"}.isdisjoint(self.policies().values())

    def key(self) -> Key:
        return Key.load(self.key_file, self.key_env)

    def identity(self) -> dict[str, Any]:
        """The key counts by its id; `remove_above` does not count, being decided on a column."""
        own = self.model_dump(
            mode="json", exclude={"key_file", "key_env", "ner", "remove_above", "types", "policy", "replace"}
        )
        ner = self.ner.identity() if self.ner else None
        return own | {"policies": self.policies(), "key": self.key().id if self.keyed else None, "ner": ner}

    def rules(self) -> list[Rule]:
        if self.remove_above is None:
            return []
        return [at_most("deidentify", "too dense in personal data", "deidentify.density", self.remove_above)]

    def build(self) -> "Deidentify":
        return Deidentify(self)


def _require_known(type: str) -> None:
    if type not in TYPES:
        near = get_close_matches(type.upper(), TYPES, n=1)
        raise ValueError(
            f"unknown type {type}, " + (f'did you mean "{near[0]}"?' if near else f"known: {', '.join(TYPES)}")
        )


class Deidentify(Step):
    """Replace what the recognisers find. Rows without a finding keep their text as it is.

    deidentify.spans    type, start and length of each removed value, in characters of the text before, and which
                        recogniser found it with what score
    deidentify.counts   removed values by type
    deidentify.density  share of the characters that was removed
    """

    name: ClassVar[str] = "deidentify"
    edits: ClassVar[tuple[str, ...]] = ("deidentify",)
    columns: ClassVar[dict[str, pa.DataType]] = {
        "deidentify.spans": SPANS,
        "deidentify.counts": COUNTS,
        "deidentify.density": pa.float32(),
    }

    def __init__(self, settings: DeidentifySettings) -> None:
        super().__init__()
        self.settings = settings
        self.pace = 50.0 if settings.ner else 1.0  # type: ignore[misc]

    def __getstate__(self) -> dict[str, Any]:
        """Without what each worker makes for itself: the automata and the key."""
        return {
            name: value for name, value in vars(self).items() if name not in {"_scanner", "_key", "_policies", "_ner"}
        }

    @cached_property
    def _policies(self) -> dict[str, Policy]:
        return self.settings.policies()

    @cached_property
    def _scanner(self) -> Scanner:
        rules = scanner(self.settings.search(), frozenset(self._policies))
        return Scanner([*rules.recognisers, self._ner]) if self._ner else rules

    @cached_property
    def _ner(self) -> NerFinder | None:
        """The model, behind every rule in rank."""
        return NerFinder(self.settings.ner, frozenset(self._policies)) if self.settings.ner else None

    @cached_property
    def _key(self) -> Key:
        return self.settings.key()

    def process(self, batch: Batch) -> Batch:
        if self.settings.keyed:
            _ = self._key  # a missing key is an error of the recipe, also where the first batch needs none
        texts = batch.text.cast(pa.binary()).to_pylist()
        shifted = self._shifted(batch)
        edited: dict[int, bytes] = {}
        evidence = Evidence(len(batch))
        for rows in _groups(texts, np.flatnonzero(batch.readable).tolist()):
            replacement = partial(self._replacement, batch, rows)
            deidentifier = Deidentifier(self._scanner, replacement, self._recurring, self._recurring, self._tagged)
            group = [texts[row] for row in rows]
            removed = deidentifier.run(group, {place for place, row in enumerate(rows) if row in shifted})
            edited |= {rows[place]: text for place, text in removed.texts.items()}
            evidence.add(np.array(rows), removed, self._scanner.labels)
        annotated = batch.with_text(_replaced(batch.text, edited), edit="deidentify")
        if marked := evidence.rows_with(self._recurring):
            annotated = annotated.with_columns({"metadata": self._marked(batch["metadata"], marked)})
        return annotated.with_columns(evidence.columns())

    @property
    def _recurring(self) -> frozenset[str]:
        return frozenset(type for type, name in self._policies.items() if name == "shift")

    @property
    def _tagged(self) -> frozenset[str]:
        return frozenset(type for type, name in self._policies.items() if name == "tag")

    def _shifted(self, batch: Batch) -> frozenset[int]:
        """Rows whose dates this key has shifted in an earlier pass, as their metadata say."""
        if not self._recurring:
            return frozenset()
        own = [orjson.loads(value).get(SHIFTED) if value else None for value in batch["metadata"].to_pylist()]
        return frozenset(row for row, key in enumerate(own) if key == self._key.id)

    def _marked(self, metadata: pa.StringArray, rows: list[int]) -> pa.StringArray:
        """A shifted date is a date: what tells it from one that is not is a mark in the metadata, which stay with the
        document from shard to shard."""
        values = metadata.to_pylist()
        for row in rows:
            values[row] = orjson.dumps(orjson.loads(values[row] or "{}") | {SHIFTED: self._key.id}).decode()
        return pa.array(values, pa.string())

    def _replacement(self, batch: Batch, rows: list[int], document: int, type: str, value: str) -> str:
        policy = self._policies[type]
        new: str | None = None
        if policy == "surrogate":
            new = surrogate(type, value, self._key)
        elif policy == "generalise":
            new = GENERALISERS[type](value)
        elif policy == "shift":
            new = dates.shifted(value, self._offset(batch, rows[document]))
        return new if new is not None else tag(type)

    def _offset(self, batch: Batch, row: int) -> int:
        """Days by which the dates of the row's patient (or document) move: never 0, the same in every document."""
        subject = None
        if self.settings.subject is not None:
            metadata = batch["metadata"][row].as_py()
            subject = orjson.loads(metadata).get(self.settings.subject) if metadata else None
        name = ("subject", str(subject)) if subject is not None else ("document", batch["id"][row].as_py())
        unit = 7 if self.settings.shift_weekdays else 1
        most = self.settings.shift_days // unit
        steps = self._key.number("shift", *name) % (2 * most)
        return unit * (steps - most + (steps >= most))


def _groups(texts: list[bytes], rows: list[int]) -> Iterator[list[int]]:
    """The rows in groups of about _GROUP bytes, that a compiled loop takes at once."""
    group: list[int] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(texts[row])
        if size >= _GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _replaced(text: pa.StringArray, edited: dict[int, bytes]) -> pa.StringArray:
    if not edited:
        return text
    rows = sorted(edited)
    mask = np.zeros(len(text), dtype=bool)
    mask[rows] = True
    new = pa.array([edited[row] for row in rows], pa.binary()).cast(pa.string())
    return pc.replace_with_mask(text, pa.array(mask), new)
