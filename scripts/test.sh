#!/usr/bin/env bash
# make test: every test. Those that need a Cassandra, a web server or the demonstration file start or make their own.
source "$(dirname "$0")/lib.sh"

scripts/install.sh build node
build_with test --locked --workspace --no-run
exec cargo test --locked --workspace "$@"
