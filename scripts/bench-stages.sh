#!/usr/bin/env bash
# make bench-stages: builds, and writes into docs/performance.md where the time of each stage goes (bench/stages.py takes the arguments).
source "$(dirname "$0")/lib.sh"

scripts/install.sh build node tools
scripts/build.sh
exec python3 bench/stages.py --programs "$(target_dir)/debug" "$@"
