#!/bin/sh
# Tests the tester: in a copy of the tree known bugs are put back one by one, and the simulator must find each.
# Arguments are for the test program.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
PLANT=$target/known-bugs cargo test --quiet --locked --test known_bugs
# A target folder of its own: cargo would take the libraries of both trees for one.
exec cargo test --locked --manifest-path "$target/known-bugs/Cargo.toml" --target-dir "$target/known-bugs/target" --test sim -- known_bugs "$@"
