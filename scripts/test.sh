#!/usr/bin/env bash
# make test: every test, in the one build that the pipeline uses too; then the dashboard in Chromium, unless arguments choose tests.
#
#   scripts/test.sh [ARGUMENT...]    of cargo test
#
# Tests that need a Cassandra share the one of CASSANDRA_HOST, or a node of their own beside that of the pipeline: it starts while
# the tests are compiled, and ends with them. Its data go when the next tests start, so that its logs can be read until then.
source "$(dirname "$0")/lib.sh"

# The tests know it by this place (tests/src/kit/).
node_dir=.sluice/test-node

stop_node() {
  # Quietly: what cargo said last is what a reader looks for.
  "$sluice" node down --dir "$node_dir" >/dev/null 2>&1 || say "the node of the tests could not be stopped: $sluice node down --dir $node_dir"
}

scripts/install.sh build node tools
sluice=$(target_dir)/debug/sluice
# Tests start these programs.
scripts/build.sh
if [[ -z ${CASSANDRA_HOST:-} ]]; then
  trap stop_node EXIT
  if ! "$sluice" node status --dir "$node_dir" >/dev/null 2>&1; then
    stop_node
    rm -rf "$node_dir"
  fi
  # What fails here fails in the tests, with its reason.
  "$sluice" node up --dir "$node_dir" --heap 768M >/dev/null 2>&1 &
fi
# Programs of others that some tests start; nothing where they are there already.
python_tools scripts/data-tools.txt >/dev/null &
python_tools scripts/contract-tools.txt >/dev/null &
promtool_path >/dev/null &
build_with test --locked --workspace --no-run
wait
cargo test --locked --workspace "$@"
[[ $# -eq 0 ]] || exit 0

# CI has a browser, or fails; elsewhere the tests are through without.
if ! scripts/install.sh dashboard browser || [[ ! -f dashboard/dist/index.html ]]; then
  [[ -z ${CI:-} ]] || fail 'the dashboard could not be built, or there is no Chromium to use it in'
  say 'the dashboard was not used: it could not be built, or there is no Chromium; with both: make dashboard-test'
  exit 0
fi
if [[ -z ${CASSANDRA_HOST:-} ]]; then
  CASSANDRA_HOST=$(json_value "$node_dir/node.json" host)
  CASSANDRA_PORT=$(json_value "$node_dir/node.json" port)
  export CASSANDRA_HOST CASSANDRA_PORT
fi
scripts/dashboard-test.sh
