#!/usr/bin/env bash
# make clean, after make down: removes what the runs left in this folder. Lake and node go together: a keyspace remembers the
# lake that filled it. What was built stays (cargo clean), so do the jars of Cassandra, which all clones share.
source "$(dirname "$0")/lib.sh"

for path in lake lake_debug "$state_dir"; do
  if [[ -e $path ]]; then
    rm -rf -- "$path"
    say "removed $path"
  fi
done
