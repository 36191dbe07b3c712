#!/usr/bin/env bash
# The local Cassandra: up, status or down, as `sluice node` does it; builds sluice where that has not been done yet.
source "$(dirname "$0")/lib.sh"

[[ $# -gt 0 ]] || fail 'say what to do' 'scripts/node.sh up|status|down'
sluice=$(target_dir)/debug/sluice
if [[ $1 == up ]]; then
  scripts/install.sh build node
fi
[[ -x $sluice ]] || scripts/build.sh
exec "$sluice" node "$@"
