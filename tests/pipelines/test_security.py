"""What SECURITY.md promises of our code: read from its syntax, so that no line gets by."""

import ast
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from as_a_user import CHECKOUT
from hypothesis import given
from hypothesis import strategies as st

from corpus.artifact import publish
from corpus.document import Document, document_id
from corpus.readers.archives import inner_path
from corpus.recipe import Name
from pipelines.setup.audit import told

PACKAGES = ("corpus", "mixing", "trainer", "pipelines", "benchmarks")
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
LOADERS = {"load", "loads", "Unpickler", "open", "read_pickle"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for package in PACKAGES:
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(CHECKOUT)}:{node.lineno}", node


def name_of(node: ast.expr) -> str:
    """`a.b.c` of a call's function, as far as it is plain names."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> object:
    return next((getattr(k.value, "value", "computed") for k in call.keywords if k.arg == name), None)


def fault_of(call: ast.Call) -> str | None:
    """Why a call is not let through."""
    owner, _, function = name_of(call.func).rpartition(".")
    root = owner.split(".")[0]
    if root in UNPICKLERS and function in LOADERS:
        return "unpickles"
    if function == "read_pickle":
        return "unpickles"
    if (owner, function) == ("torch", "load") and keyword(call, "weights_only") is not True:
        return "torch.load without weights_only=True"
    if keyword(call, "allow_pickle") not in (None, False):
        return "numpy with allow_pickle"
    if root == "yaml" and function in {"load", "load_all", "unsafe_load", "full_load"}:
        return "yaml.load, which makes objects"
    if keyword(call, "typ") == "unsafe":
        return "ruamel's unsafe loader"
    if keyword(call, "trust_remote_code") not in (None, False):
        return "trust_remote_code"
    if keyword(call, "shell") not in (None, False):
        return "a shell"
    if isinstance(call.func, ast.Name) and function in {"eval", "exec"}:
        return "eval"
    return None


def test_no_code_of_ours_loads_pickles_runs_a_models_code_or_starts_a_shell() -> None:
    found = [f"{where}: {fault}" for where, call in calls() if (fault := fault_of(call))]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "joblib.load(p)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
        "yaml.load(f, Loader=yaml.Loader)",
        "AutoModel.from_pretrained(p, trust_remote_code=True)",
        "AutoModel.from_pretrained(p, trust_remote_code=flag)",
        "subprocess.run(c, shell=True)",
        "pd.read_pickle(p)",
        "eval(x)",
    ],
)
def test_the_lint_sees_what_it_is_for(line: str) -> None:
    call = ast.parse(line).body[0].value  # type: ignore[attr-defined]
    assert fault_of(call) is not None


def test_nothing_is_imported_that_unpickles() -> None:
    for package in PACKAGES:
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not {name.split(".")[0] for name in names} & UNPICKLERS, path


@given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 1 << 40))
def test_a_documents_name_is_never_a_path(file: str, record_id: str, position: int) -> None:
    """Ids are hashes in hex; names of archive members are kept inside; sources are named by a pattern."""
    safe = file.encode("utf-8", "replace").decode()
    document = Document("web", safe, position, "text", 4, record_id)
    assert document.id == document_id("web", safe, position)
    assert len(document.id) == 32 and set(document.id) <= set("0123456789abcdef")
    inner = inner_path(file)
    assert not inner.startswith("/") and ".." not in inner.split("/")


@given(st.text(max_size=50))
def test_a_sources_name_is_a_plain_word(name: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    try:
        accepted = TypeAdapter(Name).validate_python(name)
    except ValidationError:
        return
    assert accepted == Path(accepted).name and not accepted.startswith((".", "-")) and "/" not in accepted


def test_outputs_of_a_sensitive_recipe_are_their_owners_alone(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from pipelines.stages import workspace

    before = os.umask(0o022)
    try:
        recipe = SimpleNamespace(phi=True, folder=tmp_path / "work", model_dump_json=lambda indent: "{}")
        with workspace(recipe) as lock, publish(tmp_path / "work/x", kind="k", function={}, lock=lock) as draft:
            (draft.path / "text").write_text("a note")
    finally:
        os.umask(before)
    for path in (tmp_path / "work").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_recipes_dump_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe says where a key lies, never the key; keys keep themselves out of dumps, reprs and pickles."""
    import pickle

    from corpus.deidentify import DeidentifySettings
    from corpus.deidentify.key import Key

    secret = "a-very-secret-key-of-this-test-0123456789"
    (tmp_path / "key").write_text(secret)
    monkeypatch.setenv("PROVENDER_KEY_OF_TEST", secret)
    settings = DeidentifySettings.model_validate(
        {"kind": "deidentify", "replace": "surrogate", "key_file": str(tmp_path / "key")}
    )
    dumped = settings.model_dump_json() + json.dumps(settings.identity()) + repr(settings) + repr(settings.build())
    key = Key.load(str(tmp_path / "key"), None)
    assert secret not in dumped + repr(key) + str(vars(settings)) + key.id
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)


def test_the_promises_are_written_down() -> None:
    text = (CHECKOUT / "SECURITY.md").read_text()
    for promise in ("pickle", "trust_remote_code", "0600", "pip-audit", "SHA-256", "report"):
        assert promise in text


def test_an_audit_that_looked_nothing_up_does_not_say_that_nothing_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {"name": "ours", "skip_reason": "Dependency not found on PyPI and could not be audited"}
    sound = {"name": "numpy", "version": "2.0", "vulns": []}
    weak = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
    assert told([unknown, unknown]) == 0
    assert "skipped (its index knows none of the 2 packages)" in capsys.readouterr().out
    assert told([unknown, sound]) == 0
    assert "nothing known against 1 installed packages, 1 not in its index" in capsys.readouterr().out
    assert told([unknown, sound, weak]) == 1
    assert "old 1.0: PYSEC-1, mended in 1.1" in capsys.readouterr().out
