"""The workspace as a database: DuckDB views over the files of every stage, none of them copied.

    ledger          one row per input record                       corpus/ledger/
    documents       the ledger with every measurement              + annotate/, perplexity/
    corpus          the kept documents with their text             corpus/data/
    dropped         the dropped ones with their text               corpus/dropped/
    tokens          one row per document of a token store          tokens/*/*/documents.parquet
    most_repeated   lines and paragraphs cut from many documents   repeated/most.parquet
    contamination   items of evaluation sets found in documents    contamination/items.parquet

`with_training` adds `plan`, `planned`, `mixture`, `mixture_steps`, `steps`, `losses`, `evaluations`, `forgetting` and
`gates`.

`documents` is a positional join: the ledger of a unit has the records of that unit in their order (corpus/select.py),
so the columns lie side by side without a key, at the price of a scan. Memory is bounded by `MEMORY`; what is larger
spills into a private folder that goes when the views are closed.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import read_parquet
from corpus.errors import ArtifactError, DataError
from corpus.ledger import LEDGER
from pipelines.audit.measurements import FOLDERS, column_of, is_shown
from pipelines.audit.row_groups import Counter, count_file, each_of
from pipelines.audit.workspace import dataset_folders, ledger_files, shows_texts, token_stores

MEMORY = "1GB"


class Views:
    """An open database over one workspace. Close it, or use it as a context."""

    def __init__(self, workspace: Path, *, texts: bool = False) -> None:
        """`texts`: for a measurement that shows none, texts are there even where the recipe does not show them."""
        self._texts, self._locked = texts, False
        self.workspace = Path(workspace).resolve()
        self.folder = tempfile.TemporaryDirectory(prefix="provender-audit-")
        self.names: list[str] = []
        self._files: list[str] = []
        self.ledgers = ledger_files(self.workspace)
        self._counted: dict[tuple[str, type], list] = {}
        self._beside_of: dict[str, list[tuple[list[Path], dict[str, str]]]] = {}
        self.connection = duckdb.connect()
        settings = {"threads": os.cpu_count() or 1, "memory_limit": MEMORY, "temp_directory": self.folder.name}
        for name, value in settings.items():
            self.connection.execute(f"SET {name} = {_quoted(str(value))}")
        with _reading(self.workspace):
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()
        self.folder.cleanup()

    def has(self, view: str) -> bool:
        """Whether the workspace has the files behind a view."""
        return view in self.names

    def columns(self, view: str) -> list[str]:
        """Names of the columns of a view."""
        return self.query("SELECT column_name FROM (DESCRIBE " + view + ")")["column_name"].to_list()

    def counted(self, source: str, *kinds: type[Counter]) -> list[list[Any]]:
        """For each kind of counter what it counts in each ledger file of a source; one pass for all not yet counted."""
        wanted = [kind for kind in kinds if (source, kind) not in self._counted]
        if wanted:
            files = each_of(self.ledgers[source], lambda path: count_file(path, [kind() for kind in wanted]))
            for number, kind in enumerate(wanted):
                self._counted[source, kind] = [counters[number] for counters in files]
        return [self._counted[source, kind] for kind in kinds]

    def measured(self, source: str, at: int, columns: Sequence[str]) -> dict[str, np.ndarray]:
        """float64[rows] of the measurements `columns` of the documents of the source's ledger file number `at`, in its
        order; not a number where nothing was measured. A column that its unit does not have is left out."""
        found: dict[str, np.ndarray] = {}
        for units, names in self._beside_of.get(source, []):
            there = set(pq.read_schema(units[at]).names)
            wanted = {names[column]: column for column in columns if column in names and names[column] in there}
            if wanted:
                table = pl.DataFrame(pl.from_arrow(read_parquet(units[at], list(wanted))))
                found |= {column: table[name].cast(pl.Float64).to_numpy() for name, column in wanted.items()}
        return found

    def query(self, sql: str, *values: Any) -> pl.DataFrame:
        """The answer of a query of ours; `values` are those of its `?`. Raises ArtifactError for damaged files."""
        with _reading(self.workspace):
            return self._answer(sql, list(values))

    def ask(self, sql: str) -> pl.DataFrame:
        """The answer of a query of the user's: one SELECT over the views, which reads these files and no others.

        Raises DataError when it is anything else or cannot be answered.
        """
        try:
            statements = duckdb.extract_statements(sql)
            kinds = {statement.type for statement in statements}
            if len(statements) != 1 or kinds - {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
                raise DataError(
                    "only one SELECT can be asked", found=sql, todo=f"select from {', '.join(sorted(self.names))}"
                )
            self._lock_in()
            return self._answer(sql, [])
        except duckdb.Error as error:
            raise DataError(
                "the query cannot be answered", found=str(error), todo=f"the views: {', '.join(sorted(self.names))}"
            ) from None

    def with_training(self) -> Self:
        """Add the views of mixture and training, which are read whole: megabytes, not gigabytes."""
        from pipelines.audit import training_questions as training

        frames = {"plan": training.plan_steps, "mixture_steps": training.mixture_steps, "steps": training.steps}
        frames |= {"planned": training.planned, "forgetting": training.forgetting, "mixture": training.mixture}
        frames |= {"losses": training.losses, "evaluations": training.evaluations, "gates": training.gates}
        for name, question in frames.items():
            self.register(name, question(self.workspace).to_arrow())
        return self

    def with_clustered(self) -> Self:
        """Add `clustered`, the rows of the ledger that have copies or are copies, once: few of many, which the
        questions about duplicates ask again and again."""
        if not self.has("clustered"):
            columns = "id, source, fate, cluster, duplicate_of, duplicate_kind, similarity, bytes_in, tokens_in"
            rows = f"SELECT {columns} FROM ledger WHERE cluster IS NOT NULL OR duplicate_of IS NOT NULL"
            with _reading(self.workspace):
                self.connection.execute(f"CREATE TEMP TABLE clustered AS {rows}")
            self.names.append("clustered")
        return self

    def register(self, name: str, table: pa.Table) -> None:
        """Add a table in memory as a view."""
        self.connection.register(name, table)
        self.names.append(name)

    def _lock_in(self) -> None:
        """From here on the database opens the files of its views, its own scratch folder, and nothing else."""
        if not self._locked:
            self.connection.execute(f"SET allowed_paths = {_list(self._files)}")
            self.connection.execute(f"SET allowed_directories = {_list([self.folder.name])}")
            self.connection.execute("SET enable_external_access = false")
            self.connection.execute("SET lock_configuration = true")
            self._locked = True

    def _answer(self, sql: str, values: list[Any]) -> pl.DataFrame:
        relation = self.connection.sql(sql, params=values or None)
        return pl.DataFrame(pl.from_arrow(relation.to_arrow_table()))

    def _open(self) -> None:
        ledgers = self.ledgers
        if not any(ledgers.values()):
            self.register("ledger", LEDGER.empty_table())
            self.register("documents", LEDGER.empty_table())
        else:
            self._view("ledger", f"SELECT * FROM {self.scan([p for own in ledgers.values() for p in own])}")
            parts = [self._beside(source, own) for source, own in ledgers.items() if own]
            self._view("documents", " UNION ALL BY NAME ".join(parts))
        without_text = "" if self._texts or shows_texts(self.workspace) else " EXCLUDE (text, metadata)"
        for name, folder in (("corpus", "data"), ("dropped", "dropped")):
            files = sorted(p for own in dataset_folders(self.workspace, folder) for p in own.glob("*.parquet"))
            if files:
                split = ", regexp_extract(filename, '([a-z]+)-[0-9]+-of-[^/]*$', 1) AS split"
                scan = f"SELECT *{without_text} FROM {self.scan(files, filename=True)}"
                self._view(name, f"SELECT * EXCLUDE (filename){split if folder == 'data' else ''} FROM ({scan})")
        stores = [
            f"SELECT id, source, {_quoted(split)} AS split, file_row_number AS row, tokens, bytes "
            f"FROM {self.scan([folder / 'documents.parquet'], file_row_number=True)}"
            for (_, split), folder in token_stores(self.workspace).items()
            if (folder / "documents.parquet").is_file()
        ]
        if stores:
            self._view("tokens", " UNION ALL ".join(stores))
        for name, path in (
            ("most_repeated", "repeated/most.parquet"),
            ("contamination", "contamination/items.parquet"),
        ):
            if (self.workspace / path).is_file() and (name != "most_repeated" or not without_text):
                self._view(name, f"SELECT * FROM {self.scan([self.workspace / path])}")

    def _beside(self, source: str, ledgers: list[Path]) -> str:
        """The ledger of a source with the measured columns of its units, where these are of the same records."""
        rows = [pq.read_metadata(path).num_rows for path in ledgers]
        sides = [f"(SELECT * FROM {self.scan(ledgers)})"]
        taken = set(LEDGER.names)
        for folder in FOLDERS:
            units = sorted(path for path in (self.workspace / folder / source).glob("*/*.parquet"))
            if [pq.read_metadata(path).num_rows for path in units] != rows:
                continue
            names = [field.name for field in pq.read_schema(units[0]) if is_shown(field)]
            chosen = {column_of(name): name for name in names if column_of(name) not in taken}
            taken |= {column_of(name) for name in names}
            if chosen:
                self._beside_of.setdefault(source, []).append((units, chosen))
                listed = ", ".join(f'"{name}" AS {column}' for column, name in chosen.items())
                sides.append(f"(SELECT {listed} FROM {self.scan(units, union_by_name=True)})")
        return f"SELECT * FROM {' POSITIONAL JOIN '.join(sides)}"

    def scan(self, files: Sequence[Path], **options: bool) -> str:
        """A table of a query of ours: these parquet files one after another."""
        paths = [str(path) for path in files]
        self._files += paths
        more = "".join(f", {name} = {str(value).lower()}" for name, value in options.items())
        return f"read_parquet({_list(paths)}{more}, hive_partitioning = false)"

    def _view(self, name: str, sql: str) -> None:
        self.connection.execute(f"CREATE VIEW {name} AS {sql}")
        self.names.append(name)


def measured_columns(views: Views) -> list[str]:
    """Columns of `documents` that the ledger does not have."""
    return [name for name in views.columns("documents") if name not in LEDGER.names]


@contextmanager
def _reading(workspace: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise ArtifactError(
            "a file of the workspace cannot be read", where=workspace, found=error, todo="run the stage that writes it"
        ) from None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(text) for text in texts) + "]"
