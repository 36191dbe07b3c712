#!/usr/bin/env bash
# make fuzz: changes the inputs of tests/fuzz/ for SECONDS each, all targets beside one another, from a seed that is printed.
source "$(dirname "$0")/lib.sh"

scripts/install.sh build
export SLUICE_FUZZ_SECONDS=${1:-60}
build_with test --locked --workspace --test it --no-run
exec cargo test --locked --workspace --test it properties::fuzz -- --nocapture
