#!/bin/sh
# Writes the locks anew: the newest versions that setup.cfg allows, for every supported Python, with the
# hashes of their files. requirements.txt is what runs and shows mailweir, and builds it; requirements-dev.txt
# is the same and what lints and tests it; requirements-fuzz.txt is what fuzzes it, alone, since there is no
# wheel of it for every Python.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .build
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    "${PYTHON:-python3}" -m venv .build/uv
    .build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
    uv=.build/uv/bin/uv
fi
compile() { # OUTPUT INPUT_OR_OPTION...
    output=$1
    shift
    "$uv" pip compile "$@" --upgrade --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
        --custom-compile-command 'make lock' --output-file "$output"
    echo "lock: $(grep -c '==' "$output") packages pinned in $output"
}
# what builds mailweir, as pyproject.toml says
sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml > .build/build.in
compile .ci/requirements.txt setup.cfg .build/build.in --extra demo
compile .ci/requirements-dev.txt setup.cfg .build/build.in --extra demo --extra dev --constraint .ci/requirements.txt
sed -n '/^fuzz =$/,/^$/s/^    //p' setup.cfg > .build/fuzz.in
compile .ci/requirements-fuzz.txt .build/fuzz.in
