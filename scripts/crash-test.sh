#!/usr/bin/env bash
# make crash-test: kills the real program at every step that leaves a trace and N times at random, and compares what it leaves
# with what it leaves undisturbed. SEED plans the same random kills again; the summary is on stdout.
source "$(dirname "$0")/lib.sh"

# The tests' node, beside that of the pipeline (see test.sh).
node_dir=.sluice/test-node

scripts/install.sh build node
scripts/build.sh
folder=$(target_dir)/debug
if [[ -z ${CASSANDRA_HOST:-} ]]; then
  stop_node() { "$folder/sluice" node down --dir "$node_dir" >/dev/null 2>&1 || say "the node of the tests could not be stopped: sluice node down --dir $node_dir"; }
  trap stop_node EXIT
  step 'starting a Cassandra for the tests'
  "$folder/sluice" node up --dir "$node_dir" --heap 768M >/dev/null
  done_step ""
fi
step "killing: every point, then ${N:-1000} times at random"
"$folder/crash-test" --kills "${N:-1000}" ${SEED:+--seed "$SEED"} "$@"
done_step ""
