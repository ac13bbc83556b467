#!/bin/sh
# Builds the DLL as `make dll` does, but for the profile, links C programs with each of its import libraries, and runs them in Wine:
# with a daemon of this system, and with daemons of their own. Says so if it cannot.
set -eu
cd "$(dirname "$0")/.."

gcc=x86_64-w64-mingw32-gcc
target=x86_64-pc-windows-gnu
skip() { echo "skipped: $*"; exit 0; }
command -v $gcc >/dev/null 2>&1 || skip "needs gcc-mingw-w64-x86-64"
wine=$(command -v wine64 || command -v wine) || skip "needs wine"
[ -d "$(rustc --print target-libdir --target $target)" ] || skip "needs Rust's standard library for $target"

scratch=$(mktemp -d) daemon=
export WINEPREFIX="$scratch/prefix" WINEDEBUG=-all
finish() {
    if [ -n "$daemon" ]; then kill "$daemon"; fi
    wineserver -k 2>/dev/null && wineserver -w 2>/dev/null || :
    rm -rf "$scratch"
}
trap finish EXIT

make --no-print-directory dll DLL_PROFILE=dev DLL_DIR="$scratch"
cargo build --locked --bin spread

# What Wine 8 lacks and Rust's standard library imports.
cat > "$scratch/stand_in.c" <<'END'
#include <windows.h>
BOOLEAN WINAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return SystemFunction036(data, (ULONG)size); }
END
$gcc -shared -o "$scratch/bcryptprimitives.dll" "$scratch/stand_in.c" -ladvapi32

# run PROGRAM SOURCE LIBRARY ARGUMENT...
run() {
    program=$scratch/$1.exe source=$2 library=$3
    shift 3
    $gcc -std=gnu99 -Wall -Wextra -Werror '-Dalarm(seconds)=((void)(seconds))' -Dsched_yield=SwitchToThread \
        -I"$scratch" -Itests/c "$source" $library -o "$program"
    echo "$(basename "$program") $*"
    (cd "$scratch" && timeout 120 "$wine" "$program" "$@")
}
free_ports() {
    python3 -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))'
}
# shellcheck disable=SC2046
set -- $(free_ports)

echo "Spread_Segment unicast:$1 { solo 127.0.0.1 { D 127.0.0.1 C 127.0.0.1 } }" > "$scratch/spread.conf"
"${CARGO_TARGET_DIR:-target}/debug/spread" -c "$scratch/spread.conf" -n solo > "$scratch/log" 2>&1 &
daemon=$!
until grep -q ready "$scratch/log"; do
    kill -0 "$daemon" || { cat "$scratch/log"; exit 1; }
    sleep 0.1
done

for name in constants macros prototypes undeclared; do
    run $name tests/c/$name.c "$scratch/libspread-core.lib"
done
run core tests/c/core.c "-L$scratch -lspread" "$1@127.0.0.1"
run flush tests/c/flush.c "-L$scratch -ltspread" "$1@127.0.0.1"
run inside tests/windows/inside.c "" "$2" "$3"
echo "the DLL does what it should"
