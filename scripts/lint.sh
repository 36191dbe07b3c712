#!/usr/bin/env bash
# make lint: the format, and clippy over everything, the stage binaries included, with warnings as errors.
source "$(dirname "$0")/lib.sh"

scripts/install.sh build
cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
