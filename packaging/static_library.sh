#!/bin/sh
# Makes the static library that is installed: static_library.sh BUILT SHARED INSTALLED, where SHARED is the shared library of the
# same build. Cargo's library has the whole standard library with its bitcode, about 60 MB, and its programs need libgcc_s to
# unwind the stack. This script makes one object of the code that the interface needs. Only the names of the interface are visible
# in it, so that programs can link other libraries of this kind too. It includes libgcc_eh, which unwinds; its licence allows that.
# CC, LD, NM, OBJCOPY and AR name other tools.
set -eu

built=$1 shared=$2 installed=$3
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

"${NM:-nm}" -D --defined-only "$shared" | awk '{ print $3 }' > "$parts/names"
unwinder=$("${CC:-cc}" -print-file-name=libgcc_eh.a)
[ -f "$unwinder" ] || unwinder=
# With one section for each function, names and headers of sections would take more room than most functions.
cat > "$parts/sections" <<'SECTIONS'
SECTIONS {
  .text 0 : { *(.text .text.*) }
  .rodata 0 : { *(.rodata .rodata.*) }
  .data.rel.ro 0 : { *(.data.rel.ro .data.rel.ro.*) }
  .data 0 : { *(.data .data.*) }
  .bss 0 : { *(.bss .bss.*) }
  .tdata 0 : { *(.tdata .tdata.*) }
  .tbss 0 : { *(.tbss .tbss.*) }
  .gcc_except_table 0 : { *(.gcc_except_table .gcc_except_table.*) }
  .eh_frame 0 : { KEEP(*(.eh_frame)) }
}
SECTIONS
# If the linker cannot do this, the library is installed as it was built: larger, but just as good.
if "${LD:-ld}" -r --gc-sections -T "$parts/sections" $(sed 's/^/-u /' "$parts/names") -o "$parts/all.o" "$built" $unwinder; then
    "${OBJCOPY:-objcopy}" --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd \
        --keep-global-symbols="$parts/names" "$parts/all.o" "$parts/spread.o"
    rm -f "$installed"
    "${AR:-ar}" rcs "$installed" "$parts/spread.o"
else
    echo "static_library.sh: installing $built as it is" >&2
    cp "$built" "$installed"
fi
chmod 644 "$installed"
