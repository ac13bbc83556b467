#!/bin/sh
# Installs what the tests need and is missing, then runs every check. Works without root; then it says what it could not do.
set -eu
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/sbin
export PATH

say() { printf '== %s\n' "$*"; }

# Debian package, and a program or file that shows it is there.
missing='' wanted=''
is_here() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ]; }
need() { is_here "$2" || missing="$missing $1"; }
# Without these a few tests say that they are skipped.
want() { is_here "$2" || wanted="$wanted $1"; }
need gcc gcc; need g++ g++; need libc6-dev /usr/include/stdlib.h; need make make; need binutils nm
need python3 python3; need iproute2 ip; need nftables nft
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
want valgrind valgrind; want abigail-tools abidiff; want groff groff; want pkg-config pkg-config; want cmake cmake; want strace strace
want chromium chromium
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
if [ -n "$missing$wanted" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing$missing$wanted"
        apt-get update -qq || say "the lists of packages are not renewed"
        # shellcheck disable=SC2086
        [ -z "$missing" ] || install $missing
        for package in $wanted; do install "$package" || say "$package cannot be installed"; done
    else
        say "missing packages:$missing$wanted; tests that need them will say so"
    fi
fi
command -v cargo >/dev/null 2>&1 || { say "Rust is missing: install it from your distribution or with rustup"; exit 1; }

say "format"
if cargo fmt --version >/dev/null 2>&1; then cargo fmt --check; else say "rustfmt is not installed: skipped"; fi
say "lints"
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --locked --all-targets --features demo -- -D warnings
else
    say "clippy is not installed: skipped"
fi
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --quiet
say "tests"
# Each seed is seven histories of the simulator.
: "${TORC_SIM_SEEDS:=1500}"
export TORC_SIM_SEEDS
cargo test --locked --no-fail-fast --lib --bins --examples --tests
cargo test --locked --doc
say "fuzz targets"
CORPUS=1 ./tests/fuzz.sh
say "the tester"
./tests/tester.sh
say "the model"
make --no-print-directory model
say "Python"
./tests/python.sh
say "other systems"
code=0
./tests/systems.sh quick || code=$?
case $code in
0) ;;
3) say "other systems: skipped for the reason above" ;;
*) exit "$code" ;;
esac
say "instructions"
cargo bench --locked --profile dev --bench instructions
say "the demonstration"
make --no-print-directory demo
say "all checks passed"
