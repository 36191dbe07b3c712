#!/usr/bin/env bash
# make bench-instructions: builds the unit tests, and counts the instructions of hot functions (bench/instructions.py).
#
# Without incremental compilation, which cuts code into other pieces and so inlines less: the numbers would be those of the
# machine's last edits. Our own crates are compiled once more for it; the dependencies are those of every other build.
source "$(dirname "$0")/lib.sh"

scripts/install.sh build tools instructions
export CARGO_INCREMENTAL=0
build_with test --locked --workspace --lib --no-run
exec python3 bench/instructions.py "$@"
