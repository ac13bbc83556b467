#!/bin/sh
# Builds the fuzz targets with the stable toolchain and runs each of them for SECONDS (60), as many at a time as there are cores.
#   ./tests/fuzz.sh [target...]    all targets unless some are named
#   CORPUS=1 ./tests/fuzz.sh       only plays the inputs of fuzz/corpus, each once, without looking for more
# The corpus in fuzz/corpus is read; what a run adds goes to the build folder. MERGE=1 then adds to the tree what covers more.
set -eu
cd "$(dirname "$0")/.."

: "${SECONDS_EACH:=60}"
export SECONDS_EACH
built=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

all=$(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' fuzz/Cargo.toml)
if [ -n "${CORPUS:-}" ]; then
    cargo build --locked --quiet --manifest-path fuzz/Cargo.toml --target-dir "$built"
    for target in $all; do
        "$built/debug/$target" -runs=0 -timeout=20 "fuzz/corpus/$target" >"$built/$target.log" 2>&1 ||
            { tail -n 40 "$built/$target.log"; echo "fuzz: an input in fuzz/corpus/$target fails" >&2; exit 1; }
    done
    echo "fuzz: all targets take the corpus"
    exit
fi

# libFuzzer needs counters at each edge of the program. The compiler has the pass; cargo-fuzz would ask for a nightly toolchain only
# because of the sanitizers, which safe code does not need. A target is named so that build scripts stay without the counters.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-trace-compares'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
RUSTFLAGS="$coverage -Cdebug-assertions=yes -Coverflow-checks=yes -Ccodegen-units=4" \
    cargo build --locked --release --manifest-path fuzz/Cargo.toml --target-dir "$built" --target "$host"

# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all
for target in "$@"; do mkdir -p "$built/found/$target" "$built/failed/$target" "fuzz/corpus/$target"; done

export built host
# shellcheck disable=SC2016
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' sh -c '
    log="$built/$1.log"
    "$built/$host/release/$1" -max_total_time="$SECONDS_EACH" -timeout=20 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$built/failed/$1/" "$built/found/$1" "fuzz/corpus/$1" >"$log" 2>&1 ||
        { tail -n 40 "$log"; echo "fuzz: $1 failed; the input is in $built/failed/$1" >&2; exit 255; }
    runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")
    covered=$(sed -n "s/.*DONE *cov: \([0-9]*\).*/\1/p" "$log")
    echo "fuzz: $1: $runs inputs in $SECONDS_EACH s, $covered places covered, no failure"' sh '{}'

[ -z "${MERGE:-}" ] || for target in "$@"; do
    "$built/$host/release/$target" -set_cover_merge=1 "fuzz/corpus/$target" "$built/found/$target" >/dev/null 2>&1
done
echo "fuzz: all targets passed"
