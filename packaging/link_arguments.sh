#!/bin/sh
# link_arguments.sh   prints the linker arguments that make a shared library smaller and that work here. Each one is tested: a program that
# is linked with it must run, so both the linker and the system's loader must know it.
#   --icf=all                  keeps functions with the same instructions only once
#   pack-relative-relocs       a bit for each relocation instead of 24 bytes; needs version 2.36 of the C library
set -eu
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
echo 'fn main() { println!("{:?}", std::env::args()) }' > "$trial/trial.rs"
for argument in -Wl,--icf=all -Wl,-z,pack-relative-relocs; do
    ! "${RUSTC:-rustc}" -C "link-arg=$argument" -o "$trial/trial" "$trial/trial.rs" 2> "$trial/messages" || grep -q warning "$trial/messages" ||
        ! "$trial/trial" > "$trial/messages" 2>&1 || echo "$argument"
done
