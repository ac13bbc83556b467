#!/bin/sh
# cross.sh TARGET CARGO-ARGUMENT...   runs cargo for another system
# cross.sh --prepare TARGET           installs what that needs; exits with 3 if it cannot
# cross.sh --target windows           prints the target for 64-bit Windows that can be built here
# CROSS_TOOL names another program with cargo's arguments: maturin.
#
# If the toolchain has a standard library for the target (rustup target add TARGET), that one is used. Otherwise Debian's compiler
# builds one from Debian's sources. The script installs missing packages if it can; if not, one line names them.
set -eu

fail() { echo "cross: $*" >&2; exit 3; }
has_std() { [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]; }

# need FILE PACKAGE...: installs the packages if the file does not exist.
need() {
    file=$1
    shift
    [ ! -e "$file" ] || return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || fail "$file is missing; install the package: apt-get install $*"
    echo "cross: installing $*" >&2
    { apt-get update -qq || :; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1 || :
    [ -e "$file" ] || fail "$file is missing, and apt-get cannot install it; needed: $*"
}

need_linker() {
    case $1 in
    x86_64-*-windows-gnu) need /usr/bin/x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64-win32 ;;
    s390x-unknown-linux-gnu)
        need /usr/bin/s390x-linux-gnu-gcc gcc-s390x-linux-gnu
        need /usr/s390x-linux-gnu/lib/libc.so libc6-dev-s390x-cross
        ;;
    *) has_std "$1" || fail "$1: no linker is known here, so only check works" ;;
    esac
}

need_std() {
    has_std "$1" || {
        need /usr/bin/rustc rustc-web
        need /usr/bin/cargo cargo-web
        need /usr/lib/rustlib/src/rust/library/std/Cargo.toml rust-web-src
        oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
        found=$(/usr/bin/rustc --version | cut -d ' ' -f 2)
        [ "$(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ] ||
            fail "/usr/bin/rustc is $found, and $oldest is needed; renew the packages: apt-get install rustc-web cargo-web rust-web-src"
        /usr/bin/rustc --print target-list | grep -qx -e "$1" || fail "$1 is no system that rustc knows"
    }
}

[ $# -ge 2 ] || fail "usage: cross.sh TARGET CARGO-ARGUMENT..."
case $1 in
--target)
    [ "$2" = windows ] || fail "--target knows only windows"
    # Debian's Wine runs programs for the older Windows; newer Windows runs them too.
    if has_std x86_64-pc-windows-gnu; then echo x86_64-pc-windows-gnu; else echo x86_64-win7-windows-gnu; fi
    exit
    ;;
--prepare)
    need_linker "$2"
    need_std "$2"
    exit
    ;;
esac

target=$1 action=$2
shift 2
[ "$action" = check ] || need_linker "$target"
need_std "$target"
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc
# Crates with C code know only the usual name of the target, so name their compiler.
export CC_x86_64_win7_windows_gnu=x86_64-w64-mingw32-gcc AR_x86_64_win7_windows_gnu=x86_64-w64-mingw32-ar
if [ "$action" = check ] && ! has_std "$target"; then
    # Nothing is linked, so the C of other crates need not be compiled, and no compiler for the target is needed.
    compiler=${CARGO_TARGET_DIR:-target}/no-compiler
    mkdir -p "${CARGO_TARGET_DIR:-target}"
    printf '%s\n' '#!/bin/sh' 'while [ $# -gt 0 ]; do [ "$1" != -o ] || : > "$2"; shift; done' > "$compiler"
    chmod 755 "$compiler"
    compiler=$(realpath "$compiler") variable=$(echo "$target" | tr - _)
    export "CC_$variable=$compiler" "AR_$variable=true"
fi
if has_std "$target"; then
    exec "${CROSS_TOOL:-cargo}" "$action" --target "$target" "$@"
fi
# The compiler builds its standard library only if unstable features are enabled.
std=std,panic_unwind
[ "$action" != test ] || std=std,panic_unwind,test
export RUSTC_BOOTSTRAP=1 CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc PATH=/usr/bin:$PATH
exec "${CROSS_TOOL:-/usr/bin/cargo}" "$action" -Zbuild-std=$std --target "$target" "$@"
