#!/usr/bin/env bash
# KenLM's estimators lmplz and build_binary into .venv/bin, built from the sources of the pinned PyPI package: the
# package itself builds only the module that queries a model. Boost comes from Debian, without root if need be.
set -euo pipefail
cd "$(dirname "$0")/../.."
. pipelines/setup/shell.sh

VENV=$PWD/.venv
STAMP=$VENV/.kenlm
KENLM=$(sed -n 's/^ *"\(kenlm==[^"]*\)",$/\1/p' pyproject.toml)
BOOST=(libboost-program-options-dev libboost-system-dev libboost-thread-dev libboost-test-dev)

# Both start, and the estimator estimates: `--help` would leave with an error.
runs() {
    [ -x "$VENV/bin/build_binary" ] &&
        printf 'a b c\na b d\n' | "$VENV/bin/lmplz" -o 2 --discount_fallback -S 50M -T "${TMPDIR:-/tmp}/" >/dev/null 2>&1
}

if [ "$(cat "$STAMP" 2>/dev/null)" = "$KENLM" ] && runs; then
    touch "$STAMP"
    exit 0
fi
say "KenLM's lmplz and build_binary from $KENLM (one to two minutes, done once)"

BUILD=$(mktemp -d)
trap 'rm -rf "$BUILD"' EXIT

# Debian packages and those they need, unpacked under $BUILD/boost: what can be done without root.
unpack_boost() {
    local packages
    packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "${BOOST[@]}" | grep -E '^libboost' | sort -u) || return 1
    mkdir -p "$BUILD/debs"
    # shellcheck disable=SC2086
    (cd "$BUILD/debs" && apt-get download -qq $packages) || return 1
    for package in "$BUILD"/debs/*.deb; do
        dpkg-deb -x "$package" "$BUILD/boost" || return 1
    done
}

have_boost() {
    local part
    for part in program_options system thread unit_test_framework; do
        compgen -G "/usr/lib/*/libboost_$part.a" >/dev/null || compgen -G "/usr/lib*/libboost_$part.a" >/dev/null || return 1
    done
}

prefix=()
if ! have_boost; then
    say "Boost from Debian: ${BOOST[*]}"
    if ! apt_install "${BOOST[@]}"; then
        unpack_boost || fail "Boost is neither installed nor to be had from apt" "${BOOST[*]}" \
            "ask an administrator for: apt-get install ${BOOST[*]}, then run make setup again"
        prefix=("-DCMAKE_PREFIX_PATH=$BUILD/boost/usr" "-DBOOST_ROOT=$BUILD/boost/usr" "-DBoost_NO_BOOST_CMAKE=ON"
            "-DBOOST_LIBRARYDIR=$(dirname "$(find "$BUILD/boost/usr/lib" -name 'libboost_thread.a')")")
    fi
fi

cmake=$(command -v cmake || echo "$VENV/bin/cmake")
[ -x "$cmake" ] || "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check 'cmake>=3.25,<4' ||
    fail "no cmake" "PATH and PyPI" "apt-get install cmake, then run make setup again"

LOG=$VENV/kenlm-build.log
build() {
    "$VENV/bin/python" -m pip download --disable-pip-version-check --no-deps --no-binary kenlm --dest "$BUILD" "$KENLM"
    tar -xzf "$BUILD"/kenlm-*.tar.gz -C "$BUILD"
    # Static Boost, so that the programs run after an upgrade of Debian's libraries and without them.
    "$cmake" -S "$BUILD"/kenlm-*/ -B "$BUILD/out" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF -DENABLE_INTERPOLATE=OFF \
        -DBoost_USE_STATIC_LIBS=ON ${prefix[@]+"${prefix[@]}"}
    "$cmake" --build "$BUILD/out" --target lmplz build_binary -j "$(nproc 2>/dev/null || echo 2)"
    install -m 755 "$BUILD/out/bin/lmplz" "$BUILD/out/bin/build_binary" "$VENV/bin/"
}
# `set -e` has no force in a function whose status is tested, so the build is a shell of its own.
export -f build && export BUILD VENV KENLM cmake
(set -e; build) >"$LOG" 2>&1 </dev/null && runs || {
    tail -n 15 "$LOG" >&2
    fail "KenLM did not build" "$LOG" "read its last lines above; a C++ compiler is needed (apt-get install g++)"
}
echo "$KENLM" >"$STAMP"
say "KenLM is ready: $VENV/bin/lmplz"
