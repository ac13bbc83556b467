#!/bin/sh
# dist.sh DIRECTORY   makes an archive of the committed sources with the crates that they need: it builds without a network.
set -eu
cd "$(dirname "$0")/.."
[ $# = 1 ] || { echo "usage: dist.sh DIRECTORY" >&2; exit 1; }
command -v git >/dev/null 2>&1 || { echo "dist: install the package git" >&2; exit 3; }
git rev-parse --verify --quiet HEAD >/dev/null || { echo "dist: needs the git repository, for what belongs to the sources" >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
name=torc-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
git archive --prefix="$name/" HEAD | tar -x -C "$stage"
cd "$stage/$name"
mkdir -p .cargo
"${CARGO:-cargo}" vendor --locked --versioned-dirs vendor > .cargo/config.toml 2> "$stage/messages" ||
    { cat "$stage/messages" >&2; exit 1; }
cd ..
# The same commit gives the same archive.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf - "$name" | xz -T0 -3 > "$out/$name.tar.xz"
echo "$out/$name.tar.xz"
