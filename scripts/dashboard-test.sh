#!/usr/bin/env bash
# make dashboard-test: uses the dashboard of both pipelines in Chromium, against real servers over real data of its own.
#
#   scripts/dashboard-test.sh [--screenshots FOLDER]
#
# CASSANDRA_HOST names a Cassandra that runs already; else the local node is started. Lakes, keyspaces and keys are this test's own.
source "$(dirname "$0")/lib.sh"

started=$EPOCHREALTIME
pictures=''
[[ ${1:-} != --screenshots ]] || pictures=$(realpath -m "${2:?a folder for the pictures}")
scripts/install.sh dashboard browser
use_node || fail 'no Node.js that is new enough, and none could be fetched' 'Node.js 20.19, 22.12 or newer, with npm: https://nodejs.org'
scripts/build.sh
dashboard_packages
bin=$(target_dir)/debug
work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

until_there() { # FILE PID
  local wait
  for ((wait = 0; wait < 600; wait++)); do
    [[ ! -s $1 ]] || return 0
    kill -0 "$2" 2>/dev/null || fail "ended: $(tail -n 3 "$work"/*.log)"
    sleep 0.1
  done
  fail "waited a minute for $1"
}

# Each pipeline has a keyspace of its own; lake and keys may be shared.
keyspace() { printf '%s_%s' "$1" $$; } # PIPELINE
run() { # PIPELINE
  CASSANDRA_KEYSPACE=$(keyspace "$1") "$bin/sluice" run "$1" >"$work/run.log" 2>&1 || fail "the run failed: $(tail -n 5 "$work/run.log")"
}

url=''
serve() { # PIPELINE: sets url
  local log=$work/$1.log wait
  : >"$log"
  CASSANDRA_KEYSPACE=$(keyspace "$1") "$bin/sluice" serve "$1" --listen 127.0.0.1:0 --metrics-listen none 2>"$log" &
  pids+=($!)
  url=''
  for ((wait = 0; wait < 600 && ${#url} == 0; wait++)); do
    url=$(sed -n 's/.*is served at \(http[^;]*\);.*/\1/p' "$log")
    sleep 0.1
  done
  [[ -n $url ]] || fail "the server did not start: $(tail -n 3 "$log")"
  for ((wait = 0; wait < 600; wait++)); do
    ! curl --silent --fail --output /dev/null "$url/readyz" || return 0
    sleep 0.1
  done
  fail "the server is not ready: $(tail -n 3 "$log")"
}

export LAKE_URI=$work/lake API_KEYS=$work/keys.json
if [[ -z ${CASSANDRA_HOST:-} ]]; then
  scripts/install.sh node
  "$bin/sluice" node up >/dev/null
fi
step 'loading two small files and an archive'
mkdir "$work/files"
file=$work/files/events.jsonl
"$bin/session-events-file" --sessions 30000 --out "$file" >/dev/null
"$bin/serve-files" --dir "$work/files" --bind 127.0.0.1:0 --ready-file "$work/source.json" >"$work/files.log" 2>&1 &
pids+=($!)
until_there "$work/source.json" $!
SESSION_EVENTS_URL=$(json_value "$work/source.json" url)/events.jsonl
OULAD_URL=file://$work/oulad.zip
export SESSION_EVENTS_URL OULAD_URL
run session_events
# What the url serves next has bad lines among its own: use-pipeline.mjs knows how many.
"$bin/session-events-file" --seed 7 --sessions 2000 --bad-kind missing-field=1 --bad-kind unknown-event=2 --bad-kind truncated-line=3 \
  --out "$work/second.jsonl" >/dev/null
echo 'this is not json' >>"$work/second.jsonl"
mv "$work/second.jsonl" "$file"
run session_events
"$bin/oulad-file" --students 400 --days 120 --presentations 22 --out "$work/oulad.zip" >/dev/null
run oulad
"$bin/sluice" keys make --name 'the dashboard test' >"$work/key" 2>/dev/null
done_step '63,997 events, seven of them bad; an archive of seven files'

step 'using the dashboard'
serve session_events
sessions=$url
serve oulad
(cd dashboard && KEY=$(<"$work/key") node scripts/use.mjs "$sessions" "$url" ${pictures:+"$pictures"})
done_step

say "${bold}==> all of it: $(seconds_since "$started") s${plain}"
