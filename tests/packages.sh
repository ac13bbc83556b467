#!/bin/sh
# packages.sh PART...   makes what is given away, puts each into an empty place, and uses it there
#   installed   make install after make build, without cargo: sizes, debug information, and every tool from where it lies
#   deb         the Debian packages in a new Debian of their own; needs root and debootstrap
#   wheel       the Python wheel in a new environment
#   sdist       the source archive for Python, built far from this tree
#   crate       cargo package
#   dist        the archive with crates, built without a network and with an empty cargo home
# Installs the packages that are missing, if it may. What cannot run has failed, and one line says what to install.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

PATH=$PATH:/usr/sbin:/sbin
target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$target"
out=$target/dist

fail() { echo "packages: $*" >&2; exit 1; }
say() { printf '== %s\n' "$*"; }
# need PROGRAM PACKAGE
need() {
    ! command -v "$1" >/dev/null 2>&1 || return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || { echo "packages: $1 is missing; install the package: apt-get install $2" >&2; exit 3; }
    { apt-get update -qq || :; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"; } >/dev/null 2>&1 || :
    command -v "$1" >/dev/null 2>&1 || { echo "packages: $1 is missing, and apt-get cannot install it; needed: $2" >&2; exit 3; }
}

scratch=$(mktemp -d)
daemon=''
end() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || :
    ! mountpoint -q "$scratch/debian/proc" || umount "$scratch/debian/proc"
    rm -rf "$scratch"
}
trap end EXIT

# The C program of the readme, for a daemon at a port of its own.
port=$((20000 + $$ % 20000))
hello() { sed -n '/^```c$/,/^```$/p' README.md | sed -e '1d' -e '$d' -e "s/\"4803\"/\"$port@127.0.0.1\"/"; }
python_program() { sed -n '/^```python$/,/^```$/p' "$root/README.md" | sed -e '1d' -e '$d'; }
# start COMMAND...: a daemon that these words start, ready for clients.
start() {
    echo "Spread_Segment unicast:$port { localhost 127.0.0.1 { D 127.0.0.1 C 127.0.0.1 } }" > "$scratch/solo.conf"
    "$@" > "$scratch/daemon.log" 2>&1 &
    daemon=$!
    tries=0
    until grep -q ready "$scratch/daemon.log"; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] && kill -0 $daemon 2>/dev/null || { cat "$scratch/daemon.log" >&2; fail "the daemon does not start"; }
        sleep 0.1
    done
}
stop() { kill "$daemon"; wait "$daemon" || :; daemon=''; }
expect() { [ "$1" = "$2" ] || fail "expected: $2; found: $1"; }

# size FILE MEGABYTES: the file is at most so large.
size() {
    found=$(stat -L -c %s "$1")
    printf '%9d bytes %s\n' "$found" "${1#"$scratch"/}"
    [ "$found" -le $(($2 * 100000)) ] || fail "$1 has more than $2 hundred kilobytes"
}

# placeless DIRECTORY: no file below says where it was built.
placeless() {
    # No slash follows the place in a list of crates.
    for place in "$root" "${CARGO_HOME:-$HOME/.cargo}"; do
        ! grep -rlaF "$place" "$1" >&2 || fail "these files say where they were built: $place"
    done
}

# What is installed below a prefix does what it should from there.
try_prefix() {
    prefix=$1
    start "$prefix/sbin/spread" -c "$scratch/solo.conf" -n localhost
    hello > "$scratch/hello.c"
    # shellcheck disable=SC2046
    cc "$scratch/hello.c" $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs spread) "-Wl,-rpath,$prefix/lib" -o "$scratch/found"
    expect "$("$scratch/found")" '#hello#localhost says: Hello, ring!'
    # As the readme prints it for such a prefix.
    line=$(sed -n 's/^    \(cc hello\.c -I\$PREFIX.*\)/\1/p' "$root/README.md")
    [ -n "$line" ] || fail "the readme does not say how to link with another prefix"
    (cd "$scratch" && PREFIX=$prefix && eval "$line")
    expect "$("$scratch/hello")" '#hello#localhost says: Hello, ring!'
    printf 'j tools\ns tools\nhello\nq\n' | "$prefix/bin/spuser" -u tools -s "$port@127.0.0.1" | grep -q 'connected as' || fail "spuser"
    printf 'd\nq\n' | "$prefix/bin/flush_user" -u flush -s "$port@127.0.0.1" >/dev/null || fail "flush_user"
    "$prefix/bin/spflooder" -s "$port@127.0.0.1" -m 100 -b 100 >/dev/null || fail "spflooder"
    "$prefix/bin/spbench" --at "$port@127.0.0.1" --cases throughput --seconds 1 --sizes 100 --services agreed > "$scratch/bench" ||
        { cat "$scratch/bench" >&2; fail "spbench"; }
    "$prefix/bin/spmonitor" health -s "$port" >/dev/null || fail "spmonitor"
    "$prefix/bin/sprecv" -p $((port + 1)) >/dev/null 2>&1 &
    receiver=$!
    "$prefix/bin/spsend" -a 127.0.0.1 -p $((port + 1)) -n 10 >/dev/null || fail "spsend"
    kill $receiver 2>/dev/null || :
    stop
    "$scratch/hello" > "$scratch/said" && fail "there is no daemon" || :
    expect "$(cat "$scratch/said")" 'SP_error: (-2) no daemon could be reached'
    expect "$(SPREAD_EMBEDDED="$scratch/solo.conf#localhost" "$scratch/hello")" '#hello#localhost says: Hello, ring!'
}

installed() {
    say "make install"
    make --no-print-directory build
    mkdir "$scratch/bare"
    for tool in sh make install sed cc ld ar nm awk objcopy objdump ln rm rmdir mkdir mktemp dirname find chmod mv cp cat touch; do
        ln -s "$(command -v $tool)" "$scratch/bare/$tool"
    done
    PATH=$scratch/bare make --no-print-directory -s install PREFIX="$scratch/prefix" LDCONFIG=:
    size "$scratch/prefix/sbin/spread" 50
    size "$scratch/prefix/lib/libspread.so.3" 25
    size "$scratch/prefix/lib/libspread.a" 150
    for file in sbin/spread lib/libspread.so.3.0.0 bin/spuser; do
        information=$scratch/prefix/lib/debug$scratch/prefix/$file.debug
        objdump -h "$information" | grep -q debug_line || fail "$information has no debug information"
        objdump -h "$scratch/prefix/$file" | grep -q gnu_debuglink || fail "$file does not name its debug information"
    done
    placeless "$scratch/prefix"
    for file in README.md LICENSE-MIT LICENSE-APACHE licences.txt examples/c/chat.c docs/start.md; do
        [ -s "$scratch/prefix/share/doc/torc/$file" ] || fail "$file is not installed"
    done
    try_prefix "$scratch/prefix"
    make --no-print-directory -s uninstall PREFIX="$scratch/prefix"
    [ -z "$(find "$scratch/prefix" ! -type d)" ] || fail "make uninstall leaves $(find "$scratch/prefix" ! -type d)"
    make --no-print-directory -s install-strip PREFIX="$scratch/stripped" LDCONFIG=:
    [ ! -e "$scratch/stripped/lib/debug" ] || fail "make install-strip installs debug information"
}

deb() {
    say "packages for Debian"
    need debootstrap debootstrap
    make --no-print-directory wheel deb
    debian=$scratch/debian
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p; s/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
    debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config,python3,python3-cffi-backend "$codename" "$debian" $mirror > "$scratch/debootstrap.log" 2>&1 ||
        { tail -5 "$scratch/debootstrap.log" >&2; fail "debootstrap"; }
    cp "$out"/libspread3_*.deb "$out"/libspread-dev_*.deb "$out"/torc_*.deb "$out"/python3-spread_*.deb "$debian/tmp"
    inside() { chroot "$debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
    mount -t proc proc "$debian/proc"
    inside sh -c 'dpkg -i /tmp/*.deb' > "$scratch/dpkg.log" 2>&1 || { cat "$scratch/dpkg.log" >&2; fail "dpkg"; }
    echo "Spread_Segment unicast:$port { localhost 127.0.0.1 { D 127.0.0.1 C 127.0.0.1 } }" > "$debian/etc/spread.conf"
    inside spread --check >/dev/null || fail "spread --check"
    start chroot "$debian" /usr/sbin/spread -n localhost
    hello > "$debian/tmp/hello.c"
    # shellcheck disable=SC2016
    inside sh -c 'cc /tmp/hello.c $(pkg-config --cflags --libs spread) -o /tmp/hello && cc /tmp/hello.c /usr/lib/*/libspread.a -lm -lpthread -ldl -o /tmp/alone'
    expect "$(inside /tmp/hello)" '#hello#localhost says: Hello, ring!'
    expect "$(inside /tmp/alone)" '#hello#localhost says: Hello, ring!'
    printf 'j tools\nq\n' | inside spuser -u tools -s "$port@127.0.0.1" >/dev/null || fail "spuser"
    stop
    python_program > "$debian/tmp/program.py"
    inside python3 /tmp/program.py | grep -q "b'Hello, ring!'" || fail "python3-spread"
    inside dpkg -r python3-spread torc libspread-dev libspread3 >/dev/null
    [ ! -e "$debian/usr/lib/python3/dist-packages/spread" ] || fail "python3-spread leaves files behind"
    umount "$debian/proc"
    if command -v lintian >/dev/null 2>&1; then
        # The small libraries with the old names need libspread and nothing else.
        lintian --fail-on error --suppress-tags library-not-linked-against-libc "$out"/*.deb || fail "lintian"
    fi
}

# try_wheel FILE: the wheel in a new environment, with the program of the readme.
try_wheel() {
    rm -rf "$scratch/environment"
    python3 -m venv "$scratch/environment"
    "$scratch/environment/bin/pip" --quiet --disable-pip-version-check install "$1"
    python_program > "$scratch/program.py"
    (cd "$scratch" && "$scratch/environment/bin/python" program.py) | grep -q "b'Hello, ring!'" || fail "$1 does not work"
}

wheel() {
    say "the Python wheel"
    rm -f "$out"/torc_spread-*
    before=$(cksum < "$target/release/libspread.so" 2>/dev/null || :)
    make --no-print-directory wheel
    expect "$(cksum < "$target/release/libspread.so" 2>/dev/null || :)" "$before"
    file=$(ls "$out"/torc_spread-*-py3-none-manylinux*.whl) || fail "the wheel has no manylinux tag: $(ls "$out")"
    python3 -m zipfile -e "$file" "$scratch/wheel"
    for licence in LICENSE-MIT LICENSE-APACHE LICENSE-crates.txt; do
        [ -s "$(echo "$scratch"/wheel/*.dist-info/licenses/$licence)" ] || fail "the wheel has no $licence"
    done
    grep -q '^ring [0-9.]*: ' "$scratch"/wheel/*.dist-info/licenses/LICENSE-crates.txt || fail "the licences of the crates lack that of ring"
    [ ! -e bindings/python/LICENSE-crates.txt ] || fail "make wheel leaves the licences of the crates among the sources"
    placeless "$scratch/wheel"
    try_wheel "$file"
}

sdist() {
    say "the source archive for Python"
    [ -e "$(ls "$out"/torc_spread-*.tar.gz 2>/dev/null)" ] || make --no-print-directory wheel
    cp "$out"/torc_spread-*.tar.gz "$scratch"
    (
        cd "$scratch"
        # What is tried is whether all sources are there.
        unset CARGO_TARGET_DIR
        export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false
        python3 -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir built torc_spread-*.tar.gz
    )
    try_wheel "$scratch"/built/torc_spread-*.whl
}

crate() {
    say "the crate"
    cargo package --locked --allow-dirty 2> "$scratch/package.log" || { cat "$scratch/package.log" >&2; fail "cargo package"; }
    ! grep '^warning' "$scratch/package.log" || fail "cargo package warns"
    tail -3 "$scratch/package.log"
}

dist() {
    say "the archive with crates"
    make --no-print-directory dist
    tar -xJf "$out"/torc-[0-9]*.tar.xz -C "$scratch"
    alone=''
    ! unshare -n true 2>/dev/null || alone='unshare -n'
    rust=$(dirname "$(rustup which cargo 2>/dev/null || command -v cargo)")
    (
        cd "$scratch"/torc-*
        unset CARGO_TARGET_DIR
        export CARGO_HOME="$scratch/cargo-home" PATH="$rust:$PATH" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off
        $alone make --no-print-directory -s install PREFIX="$scratch/offline" LDCONFIG=:
    )
    try_prefix "$scratch/offline"
}

[ $# -gt 0 ] || fail "usage: packages.sh installed|deb|wheel|sdist|crate|dist..."
for part in "$@"; do
    case $part in
    installed | deb | wheel | sdist | crate | dist) $part ;;
    *) fail "there is no part $part: installed, deb, wheel, sdist, crate, dist" ;;
    esac
done
say "packages: $* passed"
