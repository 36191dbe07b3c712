#!/usr/bin/env bash
# make bench-sessions: builds, serves the demonstration file, and times the chain over it RUNS times (bench/sessions.py).
source "$(dirname "$0")/lib.sh"

scripts/install.sh build node tools
scripts/build.sh
if [[ -z ${SESSION_EVENTS_URL:-} ]]; then
  SESSION_EVENTS_URL=$(scripts/source.sh up)
  export SESSION_EVENTS_URL
fi
exec python3 bench/sessions.py --sluice "$(target_dir)/debug/sluice" --work "$state_dir/bench" --runs "${RUNS:-3}"
