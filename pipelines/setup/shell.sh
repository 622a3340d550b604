# Sourced by the set-up scripts: messages, and Debian packages with or without root.

say() { printf '%s\n' "[setup] $*"; }

# fail WHAT WHERE TODO
fail() {
    printf '[setup] error: %s\n  where: %s\n  to do: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

# Run a command as root, directly or through a sudo that asks for no password; fails quietly where neither is there.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# Package lists are absent in fresh images and stale in old ones: fetch them where absent, and again if a package fails.
apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root true || return 1
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || as_root apt-get update -qq || return 1
    apt_install_once "$@" || { as_root apt-get update -qq && apt_install_once "$@"; }
}

apt_install_once() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" </dev/null >/dev/null
}
