#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make the project's Python environment in folder $1: a venv with the pinned packages and the project itself.
# The interpreter is $PYTHON, or whichever of Python 3.11, 3.12 and 3.13 this machine has. Debian's python3
# comes without ensurepip; pip is then taken from Debian's python3-pip-whl, unpacked without being installed,
# so that no root is needed.
set -euo pipefail
venv=$1
root=$(cd "$(dirname "$0")/.." && pwd)

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
python=""
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c "$supported" 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: ${PYTHON:-no interpreter here} is not Python 3.11, 3.12 or 3.13: apt-get install python3," \
        "or name one, as in PYTHON=/usr/bin/python3.12 make setup" >&2
    exit 1
fi

pip_wheel_from_debian() { # prints the path of a pip wheel, fetched into folder $1
    local lists=()
    # Without root the system's package lists cannot be renewed: keep a private copy of them.
    if ! apt-get update -qq >/dev/null 2>&1; then
        mkdir -p "$1/lists/partial" "$1/archives/partial"
        lists=(-o "Dir::State::lists=$1/lists" -o "Dir::Cache::archives=$1/archives" -o APT::Sandbox::User=root)
        apt-get "${lists[@]}" update -qq >/dev/null
    fi
    (cd "$1" && apt-get "${lists[@]}" download -qq python3-pip-whl >/dev/null && dpkg -x python3-pip-whl_*.deb .)
    ls "$1"/usr/share/python-wheels/pip-*.whl
}

# A working environment is brought up to date in place: another make may be using it.
if [ -z "${PYTHON:-}" ] && "$venv/bin/python" -c "import pip; $supported" 2>/dev/null; then
    :
elif rm -rf "$venv" && "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
else
    "$python" -m venv --without-pip "$venv"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    wheel=$(pip_wheel_from_debian "$scratch") || {
        echo "setup: no pip: apt-get install python3-venv, then run this again" >&2
        exit 1
    }
    "$venv/bin/python" "$wheel/pip" install --quiet --no-index "$wheel"
fi

install() { # pip install, with the versions of constraints.txt
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "$@"
}
# PyTorch first, and what it is before it is fetched: with CUDA it is ten times as large. An index that only
# MNC_TORCH_INDEX names is asked for nothing else, and without an answer of it PyTorch is taken as pip is set up.
torch=(${MNC_TORCH_INDEX:+--extra-index-url "$MNC_TORCH_INDEX"} torch)
install --dry-run --report - "${torch[@]}" 2>/dev/null | "$venv/bin/python" "$root/support/torch_build.py" || true
install "${torch[@]}" 2> >(grep -v '^WARNING' >&2)
install --editable "$root[dev]" 2> >(grep -v '^WARNING' >&2)
