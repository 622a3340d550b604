"""`python -m pipelines.setup.audit`: known vulnerabilities of the installed packages, by pip-audit.

pip-audit is asked of an environment of its own, so that nothing of it is a dependency of ours. Without it, or without
PyPI, it says that the audit was skipped and why, and ends well: a check must be possible on a machine without network.
"""

import shutil
import subprocess
import sys

UNREACHABLE = ("ConnectionError", "Connection refused", "Max retries", "Name or service", "resolve", "timed out", "403")


def main() -> int:
    """0 when nothing is known, or nothing could be asked; 1 with pip-audit's table when something is."""
    program = shutil.which("pip-audit")
    command = [program] if program else [sys.executable, "-m", "pip_audit"]
    try:
        asked = subprocess.run(
            [*command, "--progress-spinner=off", "--timeout=15"],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _skipped(type(error).__name__)
    if asked.returncode == 0:
        sys.stdout.write("dependency audit: nothing known against the installed packages\n")
        return 0
    if "No module named pip_audit" in asked.stderr:
        return _skipped("pip-audit is not installed: pip install pip-audit")
    if not asked.stdout.strip() or any(sign in asked.stderr for sign in UNREACHABLE):
        return _skipped("its index does not answer")
    sys.stdout.write(asked.stdout)
    sys.stderr.write("dependency audit: see above; raise the pin in pyproject.toml, or say in SECURITY.md why not\n")
    return 1


def _skipped(why: str) -> int:
    sys.stdout.write(f"dependency audit: skipped ({why})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
