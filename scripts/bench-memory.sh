#!/usr/bin/env bash
# make bench-memory: builds, and takes the peak memory of the chain for some data and for ten times as much (bench/memory.py).
source "$(dirname "$0")/lib.sh"

scripts/install.sh build node tools
scripts/build.sh
exec python3 bench/memory.py --sluice "$(target_dir)/debug/sluice" --generator "$(target_dir)/debug/session-events-file" \
  --work "$state_dir/bench-memory" "$@"
