#!/usr/bin/env bash
# The demonstration file, served over HTTP on this machine only, so that the download is really used.
#
#   scripts/source.sh up      makes the file (once) and serves it, or finds it served; prints its URL
#   scripts/source.sh down    ends the server
#   scripts/source.sh file    makes the file (once); prints its path
#
# The server goes on between runs, and a new one listens on the port of the last one where it is free: what a server says of a
# file (ETag, Last-Modified) is only believed for the URL that it was said of, so under the same URL a second run sees that
# nothing changed without fetching anything.
source "$(dirname "$0")/lib.sh"

name=session_events.jsonl.bz2
demo_dir=$state_dir/demo
record=$state_dir/source.json      # {"url", "port", "pid"}, while the server runs; written by itself
port_file=$state_dir/source.port   # of the last server
log=$state_dir/source.log

running_pid() { # prints the pid of our server, if it runs
  [[ -f $record ]] || return 1
  local pid
  pid=$(json_value "$record" pid)
  is_process "$pid" serve-files "$(realpath "$demo_dir")" || return 1
  printf '%s' "$pid"
}

make_file() {
  mkdir -p "$demo_dir"
  [[ -f $demo_dir/$name ]] && return
  say '    making the demonstration file: 1,001,169 events, once'
  # It appears when it is whole; of what an interrupted run left, only its .part is there.
  find "$demo_dir" -name '*.part' -delete
  "$bin/session-events-file" --out "$demo_dir/$name" --summary "$demo_dir/summary.json" >/dev/null
}

serve() { # PORT
  local dir pid
  dir=$(realpath "$demo_dir")
  rm -f "$record"
  # Out of reach of the terminal's Ctrl-C, and holding none of our outputs open.
  setsid "$bin/serve-files" --dir "$dir" --bind "127.0.0.1:$1" --ready-file "$record" </dev/null >"$log" 2>&1 &
  pid=$!
  until [[ -s $record ]]; do
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.02
  done
  json_value "$record" port >"$port_file"
}

up() {
  local port=0
  make_file
  if ! running_pid >/dev/null; then
    [[ ! -s $port_file ]] || port=$(<"$port_file")
    serve "$port" || serve 0 || fail "the demonstration file cannot be served: $(tail -n 1 "$log")"
  fi
  printf '%s/%s\n' "$(json_value "$record" url)" "$name"
}

down() {
  local pid
  if ! pid=$(running_pid); then
    rm -f "$record"
    say 'the demonstration file is not served'
    return
  fi
  kill -TERM "$pid"
  while is_process "$pid" serve-files "$(realpath "$demo_dir")"; do
    sleep 0.02
  done
  rm -f "$record"
  say "stopped process $pid, which served the demonstration file"
}

case ${1:-} in
  up)
    bin=$(target_dir)/debug
    up
    ;;
  down) down ;;
  file)
    bin=$(target_dir)/debug
    make_file
    echo "$demo_dir/$name"
    ;;
  *) fail 'say what to do' 'scripts/source.sh up|down|file' ;;
esac
