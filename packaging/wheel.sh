#!/bin/sh
# wheel.sh DIRECTORY [MATURIN-ARGUMENT...]   builds the Python wheel for this system and the source archive into DIRECTORY. Needs a
# package index for maturin. The wheel has the tag of the oldest glibc that its library runs on.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { echo "usage: wheel.sh DIRECTORY [MATURIN-ARGUMENT...]" >&2; exit 1; }
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "wheel: install the package python3-venv" >&2; exit 1; }

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
tools=$CARGO_TARGET_DIR/wheel-tools
[ -x "$tools/bin/maturin" ] || { python3 -m venv "$tools" && "$tools/bin/pip" --quiet install 'maturin>=1.9,<2' 'cffi>=1.15'; }

# maturin writes its library to the place where make build has its own. Make would install it with older programs, so keep them apart.
built=$CARGO_TARGET_DIR/release/libspread.so
kept=$tools/libspread.so
rm -f "$kept"
[ ! -e "$built" ] || mv "$built" "$kept"
# The texts of the crates go into the wheel, which contains them, and not into the sources.
licences=$root/bindings/python/LICENSE-crates.txt
trap 'rm -f "$built" "$licences"; [ ! -e "$kept" ] || mv "$kept" "$built"' EXIT
"$root/packaging/licences.py" > "$licences"

cd "$root/bindings/python"
export PATH="$tools/bin:$PATH"
maturin build --release --locked --interpreter "$tools/bin/python" --out "$directory" "$@"
rm "$licences"
# It first looks for Cargo.toml here, and says that this is an error, and goes on. So let it speak only if it fails.
maturin sdist --out "$directory" > "$tools/messages" 2>&1 || { cat "$tools/messages" >&2; exit 1; }
ls "$directory"/torc_spread-*.tar.gz
