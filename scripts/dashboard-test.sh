#!/usr/bin/env bash
# make dashboard-test: uses the dashboard of session events in Chromium, against a real server over real data of its own.
#
#   scripts/dashboard-test.sh [--screenshots FOLDER]
#
# CASSANDRA_HOST names a Cassandra that runs already; else the local node is started. Lake, keyspace and keys are this test's own.
source "$(dirname "$0")/lib.sh"

pictures=''
[[ ${1:-} != --screenshots ]] || pictures=$(realpath -m "${2:?a folder for the pictures}")
scripts/install.sh dashboard browser
scripts/build.sh
bin=$(target_dir)/debug
work=$(mktemp -d)
server='' files=''
cleanup() {
  for pid in $server $files; do kill "$pid" 2>/dev/null || true; done
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

export LAKE_URI=$work/lake CASSANDRA_KEYSPACE=sluice_dashboard_$$ API_KEYS=$work/keys.json
if [[ -z ${CASSANDRA_HOST:-} ]]; then
  scripts/install.sh node
  "$bin/sluice" node up >/dev/null
fi
step 'loading a small file'
mkdir "$work/files"
"$bin/session-events-file" --sessions 30000 --out "$work/files/events.jsonl" >/dev/null
"$bin/serve-files" --dir "$work/files" --bind 127.0.0.1:0 --ready-file "$work/source.json" >"$work/files.log" 2>&1 &
files=$!
until_there "$work/source.json" "$files"
SESSION_EVENTS_URL=$(json_value "$work/source.json" url)/events.jsonl
export SESSION_EVENTS_URL
"$bin/sluice" run session_events >"$work/run.log" 2>&1 || fail "the run failed: $(tail -n 5 "$work/run.log")"
"$bin/sluice" keys make --name 'the dashboard test' >"$work/key" 2>/dev/null
done_step "60,000 events"

step 'using the dashboard'
"$bin/sluice" serve session_events --listen 127.0.0.1:0 --metrics-listen none 2>"$work/serve.log" &
server=$!
url=''
for ((wait = 0; wait < 600 && ${#url} == 0; wait++)); do
  url=$(sed -n 's/.*is served at \(http[^;]*\);.*/\1/p' "$work/serve.log")
  sleep 0.1
done
[[ -n $url ]] || fail "the server did not start: $(tail -n 3 "$work/serve.log")"
for ((wait = 0; wait < 600; wait++)); do
  curl --silent --fail --output /dev/null "$url/readyz" && break
  sleep 0.1
done
(cd dashboard && node scripts/use.mjs "$url" "$(<"$work/key")" ${pictures:+"$pictures"})
done_step "$url"
