"""`python -m pipelines.setup.audit`: known vulnerabilities of the installed packages, by pip-audit.

pip-audit is asked of an environment of its own, so that nothing of it is a dependency of ours. Without it, or without
PyPI, it says that the audit was skipped and why, and ends well: a check must be possible on a machine without network.
A mirror that has packages and no list of vulnerabilities answers that nothing is known: what was not looked up is
counted.
"""

import json
import shutil
import subprocess
import sys
from typing import Any

UNREACHABLE = ("ConnectionError", "Connection refused", "Max retries", "Name or service", "resolve", "timed out", "403")


def main() -> int:
    """0 when nothing is known, or nothing could be asked; 1 with the vulnerabilities when there are some."""
    program = shutil.which("pip-audit")
    command = [program] if program else [sys.executable, "-m", "pip_audit"]
    try:
        asked = subprocess.run(
            [*command, "--progress-spinner=off", "--timeout=15", "--format=json"],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _skipped(type(error).__name__)
    if "No module named pip_audit" in asked.stderr:
        return _skipped("pip-audit is not installed: pip install pip-audit")
    if not asked.stdout.strip() or (asked.returncode and any(sign in asked.stderr for sign in UNREACHABLE)):
        return _skipped("its index does not answer")
    return told(json.loads(asked.stdout)["dependencies"])


def told(packages: list[dict[str, Any]]) -> int:
    """Say what pip-audit found out about each package; the exit code."""
    looked_up = [package for package in packages if "skip_reason" not in package]
    if not looked_up:
        return _skipped(f"its index knows none of the {len(packages)} packages")
    found = [(package, each) for package in looked_up for each in package["vulns"]]
    for package, each in found:
        mended = ", ".join(each.get("fix_versions", [])) or "no version yet"
        sys.stdout.write(f"{package['name']} {package['version']}: {each['id']}, mended in {mended}\n")
    others = f", {len(packages) - len(looked_up)} not in its index" if len(looked_up) < len(packages) else ""
    if found:
        sys.stderr.write(
            "dependency audit: see above; raise the pin in pyproject.toml, or say in SECURITY.md why not\n"
        )
        return 1
    sys.stdout.write(f"dependency audit: nothing known against {len(looked_up)} installed packages{others}\n")
    return 0


def _skipped(why: str) -> int:
    sys.stdout.write(f"dependency audit: skipped ({why})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
