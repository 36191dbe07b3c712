#!/usr/bin/env bash
# make compose-test: brings docker-compose.yml up as a user would, and compares what the API answers with what the lake holds.
#
# Twice: with ETL_DEBUG=1 and without, in the same containers. The images hold the program that is built already (PROFILE=dist: the
# one of make dist). Where a Docker engine answers, it is used; else podman, as root, with images made here (containers/podman.sh).
# Whatever happens, containers, volumes and networks are gone afterwards; images stay.
source "$(dirname "$0")/lib.sh"

profile=${PROFILE:-dev}
folder=$profile
[[ $profile != dev ]] || folder=debug
started=$EPOCHREALTIME
work=$(mktemp -d)
engine=''
# What is to be taken down: nothing, until something may be there.
is_up=''
# A signal may come while a command's output goes to a file; what is said then is said here.
exec {said}>&2
# Nothing of the environment of whoever tests.
unset SESSION_EVENTS_URL API_ADDRESS COMPOSE_PROJECT_NAME COMPOSE_FILE COMPOSE_PROFILES
export COMPOSE_ANSI=never SLUICE_LOG=info
export SLUICE_IMAGE=sluice-compose-test SLUICE_SOURCE_IMAGE=sluice-compose-test-source
# Any free port of this machine; and a node that is enough for a million events.
export API_PORT=0 CASSANDRA_HEAP=${CASSANDRA_HEAP:-512M}

# shellcheck source=scripts/containers/podman.sh
source scripts/containers/podman.sh

compose() { "$tools/bin/docker-compose" --project-name sluice-compose-test --file docker-compose.yml "$@"; }

cleanup() {
  local status=$?
  trap '' INT TERM
  exec 2>&"$said"
  if [[ -n $is_up ]]; then
    step 'taking everything down'
    compose down --volumes --remove-orphans --timeout 20 >"$work/down.log" 2>&1 || { tail -n 5 "$work/down.log" >&2; status=1; }
    [[ $engine != podman ]] || podman_down
    done_step
  fi
  rm -rf "$work" dist/image
  [[ $status -ne 0 ]] || say "${bold}==> all of it: $(seconds_since "$started") s${plain}"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pack() {
  local bin program
  bin=$(target_dir)
  mkdir -p dist/image
  for program in "$bin/$folder/sluice" "$bin/debug/serve-files"; do
    [[ -x $program ]] || fail "$program is not built" "make dist, or leave PROFILE=$profile out"
    strip -o "dist/image/${program##*/}" "$program"
  done
  cp "$(scripts/source.sh file)" dist/image
  build_image . --target packed --tag "$SLUICE_IMAGE"
  build_image . --target packed-source --tag "$SLUICE_SOURCE_IMAGE"
}

build_image() { # CONTEXT ARGUMENT...: on the network of this machine, where names are found as they are found here
  "$engine" build --quiet --network host "${@:2}" "$1" >"$work/build.log" 2>&1 ||
    { tail -n 15 "$work/build.log" >&2; fail "$engine build $* failed"; }
}

bring_up() {
  if ! compose up --detach --no-build --wait --wait-timeout 1200 api >"$work/up.log" 2>&1; then
    tail -n 20 "$work/up.log" >&2
    compose logs --tail 30 >&2 || true
    fail 'docker-compose up failed'
  fi
}

compare() { # LAKE
  local service=raw-to-use-case address
  compose run --rm --no-deps -T --env "LAKE_URI=$1" "$service" sql session_events - --output csv \
    <scripts/containers/expected.sql >"$work/expected.csv" 2>"$work/expected.log" || { cat "$work/expected.log" >&2; fail 'the lake cannot be asked'; }
  address=$(compose port api 8080)
  API_KEY=$key python3 scripts/containers/compare.py "http://$address" "$work/expected.csv" >&2
}

run_chain() { # ETL_DEBUG LAKE
  export ETL_DEBUG=$1
  step "docker-compose up with ETL_DEBUG=$1: Cassandra, source, six stages, API"
  bring_up
  done_step "the API is ready"
  # What each stage said of itself.
  local stage
  for stage in url-to-landing landing-to-raw raw-to-use-case raw-to-cassandra use-case-to-cassandra; do
    compose logs --no-log-prefix "$stage" 2>&1 | grep -E "^ (stage|$stage) |^accounting" >&2 || true
  done
  step 'comparing what the API answers with the lake'
  compare "$2"
  done_step
}

run_again() {
  step 'docker-compose up again'
  bring_up
  compose logs --no-log-prefix use-case-to-cassandra >"$work/again.log" 2>&1
  grep -q 'up to date' "$work/again.log" || { cat "$work/again.log" >&2; fail 'the stages did not run again, or found something to do'; }
  done_step 'every stage ran, and there was nothing to do'
}

step 'checking the machine'
scripts/install.sh build tools
tools=$(python_tools scripts/tools.txt)
if docker info >/dev/null 2>&1; then
  engine=docker
else
  install_podman
  engine=podman
fi
done_step "$engine"

step 'building'
scripts/build.sh
done_step

if [[ $engine == podman ]]; then
  podman_up
  make_debian_image
  make_cassandra_image
fi
is_up=1
step "packing the program of the profile $profile"
pack
done_step "$(du -h "dist/image/sluice" | cut -f 1) in $("$engine" image inspect --format '{{.Size}}' "$SLUICE_IMAGE" | numfmt --to=iec)"

step 'sluice keys make'
key=$(compose run --rm --no-deps -T api keys make --name compose-test 2>"$work/key.log") || { cat "$work/key.log" >&2; fail 'no key was made'; }
done_step

run_chain 1 /data/lake_debug
run_chain '' /data/lake
run_again
