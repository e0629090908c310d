#!/bin/sh
# Makes .venv, a virtual environment in the checkout, with exactly the versions of .ci/requirements.txt, which
# run and show mailweir, and mailweir itself in it, editable. `venv.sh dev` adds what lints and tests it, from
# .ci/requirements-dev.txt, `venv.sh fuzz` what fuzzes it. PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")/.."
say() { echo "venv: $*"; }
stop() { say "$*" >&2; exit 1; }

recent='import sys; sys.exit(sys.version_info < (3, 11))'
python=
for name in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c "$recent" 2>/dev/null; then python=$name; break; fi
done
[ -n "$python" ] || stop "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3"

if ! .venv/bin/python -c "$recent" 2>/dev/null; then
    say "making .venv with $python"
    rm -rf .venv
    # Debian keeps the part of Python that puts pip into an environment in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "installing Debian's python3-venv"
            export DEBIAN_FRONTEND=noninteractive
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        elif ! "$python" -m pip --version >/dev/null 2>&1; then
            stop "Debian's python3-venv is missing; as root: apt-get install python3-venv"
        fi
    fi
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    else
        "$python" -m venv --without-pip .venv
    fi
fi
if .venv/bin/python -c 'import pip' 2>/dev/null; then
    pip() { .venv/bin/python -m pip "$@"; }
else
    pip() { "$python" -m pip --python .venv/bin/python "$@"; }
fi

# The lock is complete, so nothing is left to resolve. Quiet twice: errors are shown, and no warnings about
# how pip is set up on this machine.
options="--quiet --quiet --disable-pip-version-check --no-deps"
if [ -n "${1-}" ]; then
    say "adding what .ci/requirements-$1.txt pins"
    # shellcheck disable=SC2086
    pip install $options --require-hashes -r ".ci/requirements-$1.txt"
    exit 0
fi
say "installing what .ci/requirements.txt pins"
# shellcheck disable=SC2086
pip install $options --require-hashes -r .ci/requirements.txt
say "installing mailweir from this checkout"
# shellcheck disable=SC2086
pip install $options --no-build-isolation --editable .
