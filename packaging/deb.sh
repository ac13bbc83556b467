#!/bin/sh
# deb.sh DIRECTORY   makes Debian packages of what make build built, in DIRECTORY: libspread3, libspread-dev, torc, torc-dbgsym, and
# python3-spread if a wheel for this system lies in target/dist. Needs dpkg-deb and no debhelper.
set -eu
cd "$(dirname "$0")/.."
[ $# = 1 ] || { echo "usage: deb.sh DIRECTORY" >&2; exit 1; }
command -v dpkg-deb >/dev/null 2>&1 || { echo "deb: install the package dpkg" >&2; exit 3; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
target=${CARGO_TARGET_DIR:-target}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
umask 022

architecture=$(dpkg --print-architecture)
triplet=$("${CC:-cc}" -print-multiarch)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)-1
maintainer=${DEBFULLNAME:-Torc maintainers}\ \<${DEBEMAIL:-maintainers@torc.example}\>
libraries=usr/lib/$triplet

make --no-print-directory -s install DESTDIR="$stage/all" PREFIX=/usr LIBDIR="/$libraries" SYSTEMD_DIR=/usr/lib/systemd >/dev/null
rm -f "$stage/all/usr/share/doc/torc/licences.txt"
find "$stage/all/usr/share/man" -type f -exec gzip -9n {} +

# The newest version of the C library that one of these files needs.
# Packed relocations have a name instead of a version: the loader knows them since 2.36.
glibc() { objdump -p "$@" | sed -n 's/.* GLIBC_ABI_DT_RELR$/2.36/p; s/.* GLIBC_\([0-9.]*\)$/\1/p' | sort -Vu | tail -1; }
needs="libc6 (>= $(glibc "$stage/all/usr/sbin/spread" "$stage/all/$libraries/libspread.so.3.0.0")), libgcc-s1 (>= 4.2)"

# move PACKAGE PATTERN...: moves the files of the staged root that match into the package.
move() {
    package=$1
    shift
    for pattern in "$@"; do
        (cd "$stage/all" && find . -path "./$pattern" ! -type d) | while read -r file; do
            mkdir -p "$stage/$package/$(dirname "$file")"
            mv "$stage/all/$file" "$stage/$package/$file"
        done
    done
}

# finish PACKAGE SECTION DEPENDS TITLE DESCRIPTION
finish() {
    package=$1
    documents=$stage/$package/usr/share/doc/$package
    mkdir -p "$documents" "$stage/$package/DEBIAN"
    {
        echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
        printf 'Upstream-Name: torc\n\nFiles: *\nCopyright: Torc contributors\nLicense: MIT or Apache-2.0\n'
        printf ' The Apache licence is in /usr/share/common-licenses/Apache-2.0.\n .\n'
        sed -e 's/^$/./' -e 's/^/ /' LICENSE-MIT
        printf '\nFiles: crates inside\nCopyright: their authors\nLicense: see licences.txt.gz in the packages libspread3 and torc\n'
    } > "$documents/copyright"
    case $package in libspread3 | torc) gzip -9nc "$stage/licences" > "$documents/licences.txt.gz" ;; esac
    printf 'torc (%s) unstable; urgency=medium\n\n  * See the list of changes in the package torc.\n\n -- %s  %s\n' "$version" "$maintainer" \
        "$(date -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")" | gzip -9n > "$documents/changelog.Debian.gz"
    size=$(du -sk "$stage/$package" | cut -f1)
    cat > "$stage/$package/DEBIAN/control" <<END
Package: $package
Source: torc
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $size
Section: $2
Priority: optional
Depends: $3
Description: $4
$(echo "$5" | fold -s -w 75 | sed -e 's/^/ /' -e 's/ *$//')
END
    (cd "$stage/$package" && find usr -type f -exec md5sum {} + > DEBIAN/md5sums)
    dpkg-deb --build --root-owner-group -Z"$([ "$package" = torc-dbgsym ] && echo gzip || echo xz)" "$stage/$package" "$out/${package}_${version}_$architecture.deb"
}

packaging/licences.py > "$stage/licences"

move libspread3 "$libraries/*.so.3*"
find "$stage/libspread3" -type f -exec chmod 644 {} +
mkdir -p "$stage/libspread3/DEBIAN"
echo 'activate-noawait ldconfig' > "$stage/libspread3/DEBIAN/triggers"
for name in libspread libspread-core libtspread-core libtspread; do
    [ ! -e "$stage/libspread3/$libraries/$name.so.3" ] || echo "$name 3 libspread3"
done > "$stage/libspread3/DEBIAN/shlibs"
finish libspread3 libs "$needs" 'ordered group messaging, client library' \
    'The classic Spread client interface, over Torc: programs get the same messages in the same order.'

move libspread-dev 'usr/include/*' "$libraries/*" 'usr/share/man/man3/*'
finish libspread-dev libdevel "libspread3 (= $version)" 'ordered group messaging, development files' \
    'Headers, static library and manual for programs that use the Spread client interface.'

move torc-dbgsym 'usr/lib/debug/*'
finish torc-dbgsym debug "torc (= $version) | libspread3 (= $version)" 'debug information of torc' \
    'Debuggers and backtraces need it to name functions and lines of the programs and the library.'

move torc 'usr/*'
mkdir -p "$stage/torc/DEBIAN"
cat > "$stage/torc/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    ! command -v systemd-sysusers >/dev/null || systemd-sysusers spread.conf
    ! command -v systemd-tmpfiles >/dev/null || systemd-tmpfiles --create spread.conf || :
    [ ! -d /run/systemd/system ] || systemctl --system daemon-reload || :
fi
END
cat > "$stage/torc/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop spread.service || :; fi
END
chmod 755 "$stage/torc/DEBIAN/postinst" "$stage/torc/DEBIAN/prerm"
finish torc net "$needs" 'ordered group messaging over several networks at once' \
    'The daemon and its tools. Networks can fail, and no program notices. Write /etc/spread.conf, then: systemctl enable --now spread'

wheel=$(ls "$target"/dist/torc_spread-*-py3-none-*linux*.whl 2>/dev/null | tail -1)
if [ -n "$wheel" ]; then
    place=$stage/python3-spread/usr/lib/python3/dist-packages
    mkdir -p "$place"
    python3 -m zipfile -e "$wheel" "$place"
    # The package uses the library of libspread3 instead of a copy.
    library=$(basename "$place"/spread/_native/*.so)
    ln -sf "/$libraries/libspread.so.3" "$place/spread/_native/$library"
    chmod -R u+rwX,go+rX "$place"
    # Python keeps compiled files beside the module, where root may run it. dpkg does not know of them.
    mkdir -p "$stage/python3-spread/DEBIAN"
    cat > "$stage/python3-spread/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
find /usr/lib/python3/dist-packages/spread -depth -type d -name __pycache__ -exec rm -rf {} +
END
    chmod 755 "$stage/python3-spread/DEBIAN/prerm"
    finish python3-spread python "python3 (>= 3.9), python3-cffi-backend, libspread3 (= $version)" 'ordered group messaging for Python' \
        'The classic spread module, asyncio, and daemons inside the program.'
else
    echo "deb: no wheel in $target/dist, so no package python3-spread: make wheel first" >&2
fi
(cd "$stage/all" && find . ! -type d) | { ! grep . >&2 || { echo "deb: these files are in no package" >&2; exit 1; }; }
