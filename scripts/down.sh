#!/usr/bin/env bash
# make down: stops what make pipeline started, and only that: the processes that are on record in .sluice and still are what the
# record says. Data stay.
source "$(dirname "$0")/lib.sh"

scripts/source.sh down
sluice=$(target_dir)/debug/sluice
if [[ -x $sluice ]]; then
  "$sluice" node down
  # Of tests that were killed.
  [[ ! -f .sluice/test-node/node.json ]] || "$sluice" node down --dir .sluice/test-node
elif [[ -f $state_dir/node.json ]]; then
  fail "a node is on record in $state_dir/node.json, and sluice, which would stop it, is not built" 'make build, then make down'
fi
