#!/bin/sh
# Writes .ci/requirements.txt anew: the newest versions that setup.cfg allows, for every supported Python,
# with the hashes of their files.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    "${PYTHON:-python3}" -m venv .build/uv
    .build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
    uv=.build/uv/bin/uv
fi
"$uv" pip compile setup.cfg --extra demo --extra dev --upgrade --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-emit-find-links --quiet \
    --custom-compile-command 'make lock' --output-file .ci/requirements.txt
echo "lock: $(grep -c '==' .ci/requirements.txt) packages pinned in .ci/requirements.txt"
