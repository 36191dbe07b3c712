#!/usr/bin/env bash
# make pipeline: checks the machine, builds, starts what is needed, runs the session events pipeline, shows what came of it.
#
# CASSANDRA_HOST names a Cassandra that runs already; else the local node is started. SESSION_EVENTS_URL names a file; else the
# demonstration file is made and served. Everything that sluice reads (LAKE_URI, ETL_DEBUG, ...) reaches it as it is.
# Report and queries are on stdout, everything else on stderr. Interrupted anywhere, the next run goes on.
source "$(dirname "$0")/lib.sh"

started=$EPOCHREALTIME
node_pid=''
node_log=''

cleanup() {
  # A start of the node that is under way: what it has started stays, and is found by the next run or by make down.
  [[ -z $node_pid ]] || kill -TERM "$node_pid" 2>/dev/null || true
  [[ -z $node_log ]] || rm -f "$node_log"
}
trap cleanup EXIT

start_node() {
  node_log=$(mktemp)
  "$sluice" node up >"$node_log" 2>&1 &
  node_pid=$!
}

await_node() {
  # What it says, as it says it. A node that runs already is no news.
  if kill -0 "$node_pid" 2>/dev/null; then
    tail -f -n +1 -s 0.1 --pid="$node_pid" "$node_log" | sed -u '/^Cassandra \|^  /d; s/^/    /' >&2
  fi
  local status=0
  wait "$node_pid" || status=$?
  node_pid=''
  if [[ $status -ne 0 ]]; then
    cat "$node_log" >&2
    exit "$status"
  fi
}

step 'checking the machine'
if [[ -n ${CASSANDRA_HOST:-} ]]; then
  scripts/install.sh build
else
  scripts/install.sh build node
fi
target=$(target_dir)
sluice=$target/debug/sluice
done_step

step 'building'
if [[ -z ${CASSANDRA_HOST:-} && -x $sluice ]]; then
  # The node of the last build starts while this one goes on.
  start_node
fi
scripts/build.sh
done_step

# While the node starts, the file is made.
[[ -n ${CASSANDRA_HOST:-} || -n $node_pid ]] || start_node

if [[ -n ${SESSION_EVENTS_URL:-} ]]; then
  say "${bold}==> the file of SESSION_EVENTS_URL${plain}"
else
  step 'serving the demonstration file'
  SESSION_EVENTS_URL=$(scripts/source.sh up)
  export SESSION_EVENTS_URL
  done_step "$SESSION_EVENTS_URL, until make down"
fi

if [[ -n ${CASSANDRA_HOST:-} ]]; then
  say "${bold}==> Cassandra at $CASSANDRA_HOST${plain}"
else
  step 'starting the local Cassandra'
  await_node
  done_step "$(sed -n 's/^  host *//p' "$node_log"):$(sed -n 's/^  port *//p' "$node_log"), until make down"
fi

step 'sluice run session_events'
"$sluice" run session_events
done_step

step 'two queries to try'
"$target/debug/try-queries" session_events
done_step

say "To ask over HTTP: make serve"
say "${bold}==> all of it: $(seconds_since "$started") s${plain}"
