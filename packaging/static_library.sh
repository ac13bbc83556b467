#!/bin/sh
# Makes the static library that is installed: static_library.sh BUILT SHARED INSTALLED, where SHARED is the shared library of the
# same build. What cargo builds has the whole standard library with its bitcode, about 60 MB, and its programs need libgcc_s to
# unwind the stack. Here it becomes one object with what the interface needs, and no other name is visible in it: programs
# may hold other libraries of this kind beside it. libgcc_eh, which unwinds, is inside; its licence allows that.
# CC, LD, NM, OBJCOPY and AR name other tools.
set -eu

built=$1 shared=$2 installed=$3
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

"${NM:-nm}" -D --defined-only "$shared" | awk '{ print $3 }' > "$parts/names"
unwinder=$("${CC:-cc}" -print-file-name=libgcc_eh.a)
[ -f "$unwinder" ] || unwinder=
# A section for each function, as they come, takes more room by its name and header than most functions do.
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
# A linker that cannot do this leaves the library as it was built: larger, but as good.
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
