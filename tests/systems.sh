#!/bin/sh
# systems.sh PART...   builds for other systems and runs here what was built
#   quick       a bounded part: the DLL and the daemon for Windows, and programs with them in Wine
#   windows     everything for Windows, in Wine: library, programs, service, rings, Python wheel
#   others      lets the compiler check the code for macOS, FreeBSD, 64-bit ARM and 32-bit Linux
#   byte-order  tests, programs and daemons on a processor with the other byte order, in qemu
# Installs the packages that are missing, if it may. What cannot run has failed, and one line says what to install.
set -eu
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/sbin
target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$target" TORC_WINDOWS="$target/windows-dev"

# 3: what was asked for cannot run here.
fail() { echo "systems: $*" >&2; exit 3; }
say() { printf '== %s\n' "$*"; }
installed() { command -v "$1" >/dev/null 2>&1; }
# need PROGRAM PACKAGE...
need() {
    program=$1
    shift
    ! installed "$program" || return 0
    [ "$(id -u)" = 0 ] && installed apt-get || fail "$program is missing; install the package: apt-get install $*"
    { apt-get update -qq || :; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1 || :
    installed "$program" || fail "$program is missing, and apt-get cannot install it; needed: $*"
}
# Tests of tests/systems whose names begin with one of these, without those after --skip. They share processors and Wine.
try() { cargo test --locked --test systems -- --ignored --nocapture --test-threads 1 "$@"; }

find_wine() {
    installed wine64 || [ -x /usr/lib/wine/wine64 ] || need /usr/lib/wine/wine64 wine64
    for wine in wine64 /usr/lib/wine/wine64; do
        ! installed "$wine" || break
    done
    TORC_WINE=$(command -v "$wine") || fail "wine64 is missing; install the package: apt-get install wine64 wine"
    export TORC_WINE
    for server in wineserver wineserver64 /usr/lib/wine/wineserver64 /usr/lib/wine/wineserver; do
        TORC_WINE_SERVER=$(command -v "$server") || continue
        export TORC_WINE_SERVER
        return 0
    done
    fail "wineserver is missing; install the package: apt-get install wine64 wine"
}

scratch=''
end_wine() {
    [ -n "$scratch" ] || return 0
    for prefix in prefix apart; do
        WINEPREFIX="$scratch/$prefix" "$TORC_WINE_SERVER" -k 2>/dev/null && WINEPREFIX="$scratch/$prefix" "$TORC_WINE_SERVER" -w 2>/dev/null || :
    done
    rm -rf "$scratch"
}

# Machines of Wine, each with its registry and its server, and what Wine 8 lacks and Rust's standard library imports.
start_wine() {
    find_wine
    scratch=$(mktemp -d)
    trap end_wine EXIT
    export WINEDEBUG=-all WINEPREFIX="$scratch/prefix" TORC_WINE_PREFIX_APART="$scratch/apart"
    # Wine offers to install its own browser and .NET without these.
    export WINEDLLOVERRIDES='mscoree,mshtml='
    "$TORC_WINE" wineboot --init >/dev/null 2>&1 || fail "Wine does not start"
    "$TORC_WINE_SERVER" -w
    cat > "$scratch/stand_in.c" <<'END'
#include <windows.h>
BOOLEAN WINAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return SystemFunction036(data, (ULONG)size); }
END
    x86_64-w64-mingw32-gcc -shared -o "$TORC_WINDOWS/bcryptprimitives.dll" "$scratch/stand_in.c" -ladvapi32
}

# make_windows TARGET SETTING...: builds the DLL, or the programs too, or the archive of all.
make_windows() {
    packaging/cross.sh --prepare "$(packaging/cross.sh --target windows)" || exit
    # What is run once is not worth an optimization, and may say where it was built.
    CARGO_PROFILE_DEV_OPT_LEVEL=0 make --no-print-directory "$@" DLL_PROFILE=dev DLL_DIR="$TORC_WINDOWS" RUSTFLAGS=
}

# Runs what compiles; then the compiler says again what it warned of, which fails.
without_warnings() {
    "$@"
    if "$@" 2>&1 | grep '^warning'; then
        echo "systems: warnings are errors" >&2
        exit 1
    fi
}

quick() {
    say "the library for Windows"
    without_warnings make_windows dll
    start_wine
    try windows_programs_do windows_programs_link windows_the_library
}

windows() {
    say "Windows"
    need ip iproute2
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || fail "Python's venv is missing; install the package: apt-get install python3-venv"
    without_warnings make_windows windows
    start_wine
    cp -a "$WINEPREFIX" "$TORC_WINE_PREFIX_APART"
    try windows_
    say "the archive for Windows"
    # Apart from the archive that is given away, which has the same name.
    rm -rf "$TORC_WINDOWS/dist"
    make_windows dist-windows DIST_DIR="$TORC_WINDOWS/dist"
    python3 - "$TORC_WINDOWS"/dist/torc-*-windows-x86_64.zip <<'END'
import sys, zipfile
found = {name.split("/", 1)[1] for name in zipfile.ZipFile(sys.argv[1]).namelist()}
wanted = {"README.md", "LICENSE-MIT", "LICENSE-APACHE", "licences.txt", "spread.conf.example", "lib/spread.def", "bin/spread.dll"}
wanted |= {f"bin/{name}.exe" for name in ("spread", "spuser", "spflooder", "spmonitor", "spsend", "sprecv")}
wanted |= {f"include/{name}.h" for name in ("sp", "sp_events", "sp_func", "fl", "torc")}
wanted |= {f"lib/{name}.{kind}" for name in ("libspread", "libspread-core", "libtspread") for kind in ("lib", "dll.a")}
missing = sorted(wanted - found)
sys.exit(f"the archive lacks {missing}" if missing else 0)
END
    say "the Python wheel for Windows"
    CARGO_PROFILE_DEV_OPT_LEVEL=0 ./tests/windows/wheel.sh
}

others() {
    for system in aarch64-apple-darwin x86_64-unknown-freebsd aarch64-unknown-linux-gnu i686-unknown-linux-gnu; do
        say "$system"
        without_warnings packaging/cross.sh $system check --locked --lib --bins
    done
}

byte_order() {
    say "the other byte order"
    need qemu-s390x qemu-user
    packaging/cross.sh --prepare s390x-unknown-linux-gnu || exit
    export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER="qemu-s390x -L /usr/s390x-linux-gnu"
    (
        # Compiling takes longer than running does.
        export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0
        packaging/cross.sh s390x-unknown-linux-gnu build --locked --lib --bin spread
        # Two tests are of the kernel. qemu answers the calls of one itself, and keeps the descriptors that the other has no room for.
        packaging/cross.sh s390x-unknown-linux-gnu test --locked --lib -- wire:: client:: ffi:: pipe:: \
            --skip no_part_of_it_can_be_taken_out --skip of_several_descriptors_none_stays_open
    )
    export TORC_S390X="$target/s390x-unknown-linux-gnu/debug"
    ln -sf libspread.so "$TORC_S390X/libspread.so.3"
    try byte_order
}

[ $# -gt 0 ] || fail "usage: systems.sh quick|windows|others|byte-order..."
for part in "$@"; do
    case $part in
    quick | windows | others | byte-order) ;;
    *) fail "there is no part $part: quick, windows, others, byte-order" ;;
    esac
done
for part in "$@"; do
    case $part in
    byte-order) byte_order ;;
    *) "$part" ;;
    esac
done
say "other systems: $* passed"
