#!/bin/sh
# Installs a program or a shared library without its debug information: install_binary.sh BUILT INSTALLED [DEBUG-FILE].
# With DEBUG-FILE the information goes there, and the installed file names that file, so that debuggers and backtraces find it.
# MODE sets other permissions than 755, and OBJCOPY another tool.
set -eu

built=$1 installed=$2 information=${3:-}
# The file of a running program cannot be written, but a new file can replace it.
new=$installed.new
trap 'rm -f "$new"' EXIT
if ! "${OBJCOPY:-objcopy}" --strip-all "$built" "$new" 2>/dev/null; then
    echo "install_binary.sh: objcopy cannot strip $built; installing it as it is" >&2
    cp "$built" "$new"
elif [ -n "$information" ]; then
    mkdir -p "$(dirname "$information")"
    "${OBJCOPY:-objcopy}" --only-keep-debug "$built" "$information"
    chmod 644 "$information"
    "${OBJCOPY:-objcopy}" --add-gnu-debuglink="$information" "$new"
fi
chmod "${MODE:-755}" "$new"
mv -f "$new" "$installed"
