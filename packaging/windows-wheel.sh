#!/bin/sh
# windows-wheel.sh DIRECTORY [MATURIN-ARGUMENT...]   builds the Python wheel for 64-bit Windows into DIRECTORY. Needs a package index.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { echo "usage: windows-wheel.sh DIRECTORY [MATURIN-ARGUMENT...]" >&2; exit 1; }
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "windows-wheel: install the package python3-venv" >&2; exit 1; }

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
tools=$CARGO_TARGET_DIR/wheel-tools
[ -x "$tools/bin/maturin" ] || { python3 -m venv "$tools" && "$tools/bin/pip" --quiet install 'maturin>=1.9,<2' 'cffi>=1.15'; }

target=$("$root/packaging/cross.sh" --target windows)
# The texts of the crates that the wheel contains.
licences=$root/bindings/python/LICENSE-crates.txt
trap 'rm -f "$licences"' EXIT
"$root/packaging/licences.py" --filter-platform "$target" > "$licences"
cd "$root/bindings/python"
PATH="$tools/bin:$PATH" CROSS_TOOL="$tools/bin/maturin" "$root/packaging/cross.sh" "$target" build \
    --interpreter "$tools/bin/python" --locked --out "$directory" "$@"
