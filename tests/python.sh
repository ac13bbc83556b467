#!/bin/sh
# Builds the Python wheel as `pip install ./bindings/python` does, but for the profile, installs it into a new environment and
# runs its tests there. PYTHON names another interpreter; arguments are for pytest. Needs a package index.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
place=${CARGO_TARGET_DIR:-target}/python
rm -rf "$place"
"$python" -m venv "$place"
pip() { "$place/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

MATURIN_PEP517_ARGS="--profile dev --locked" pip wheel --no-deps --wheel-dir "$place/wheels" ./bindings/python
ls "$place"/wheels/torc_spread-*-py3-none-*.whl
pip install "$place"/wheels/torc_spread-*.whl pytest
"$place/bin/python" -m pytest -q bindings/python/tests "$@"
