"""The report as an artefact: the page, and the frame behind every table as parquet."""

from pathlib import Path

from corpus.artifact import Manifest, RunLock, code_version, content_hash, publish, write_parquet
from corpus.errors import ArtifactError
from pipelines.audit.everything import Audit
from pipelines.audit.workspace import artefacts
from pipelines.report.page import render_html


def report_function(workspace: Path) -> dict:
    """What the report is a function of: the artefacts, the runs' metrics, the score, the recipe and the code."""
    workspace = Path(workspace).resolve()
    fingerprints: dict[str, str] = {}
    for folder in artefacts(workspace):
        try:
            fingerprints[folder.as_posix()] = Manifest.read(workspace / folder).fingerprint
        except ArtifactError:
            fingerprints[folder.as_posix()] = "unreadable"
    loose = [*sorted(workspace.glob("runs/*/metrics.jsonl")), workspace / "planted.parquet"]
    loose += [workspace / name for name in ("recipe.yaml", "recipe.json")]
    contents = {path.relative_to(workspace).as_posix(): content_hash(path) for path in loose if path.is_file()}
    code = code_version("corpus", "pipelines")
    return {"stage": "report", "artefacts": fingerprints, "files": contents, "code": code}


def write_report(workspace: Path, audit: Audit, lock: RunLock | None = None) -> Path:
    """Publish <workspace>/report: report.html and each frame as parquet. Returns the folder."""
    folder = Path(workspace).resolve() / "report"
    function = report_function(workspace)
    with publish(folder, kind="pipelines.report", function=function, lock=lock) as draft:
        (draft.path / "report.html").write_text(render_html(audit), encoding="utf-8")
        for name, frame in audit.frames.items():
            draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", frame.to_arrow())
        draft.totals |= {"checks": len(audit.checks), "failed": sum(not check.passed for check in audit.checks)}
    return folder
