#!/usr/bin/env bash
# The virtual environment .venv with its pip, and nothing in it yet. Run by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/../.."
. pipelines/setup/shell.sh

VENV=.venv

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_environment() {
    local python
    python=$(find_python) || fail "no Python 3.11 or 3.12" "PATH=$PATH" "install one, on Debian 12: apt-get install python3.11 python3.11-venv"
    say "virtual environment $VENV with $("$python" --version)"
    if ! "$python" -m venv "$VENV" >/dev/null 2>&1; then
        # Debian keeps ensurepip in a package of its own.
        apt_install "$(basename "$(readlink -f "$(command -v "$python")")")-venv" || true
        "$python" -m venv --clear "$VENV" >/dev/null ||
            fail "$python cannot make a virtual environment" "$PWD/$VENV" "apt-get install $python-venv, then run make setup again"
    fi
}

"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || make_environment
touch "$VENV/.python"
