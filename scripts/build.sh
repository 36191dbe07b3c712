#!/usr/bin/env bash
# Builds everything in the one profile that serves the pipeline, the tests and the benchmark.
source "$(dirname "$0")/lib.sh"

# Under the name of a stage the program is that stage's.
link_stages() {
  local stage
  for stage in create-tables url-to-landing landing-to-raw raw-to-use-case raw-to-cassandra use-case-to-cassandra; do
    ln --symbolic --force sluice "$(target_dir)/debug/$stage"
  done
}

scripts/install.sh build
scripts/dashboard.sh --if-needed || say '    without the dashboard: it could not be built, see above; make dashboard tries again'
if [[ ! -d $(target_dir)/debug/build ]]; then
  say "    the first build compiles some 500 dependencies: 20 to 50 minutes on two cores, once"
fi
if [[ -t 2 ]]; then
  # Cargo draws its own progress.
  build_with build --locked --workspace
  link_stages
  exit
fi
# No terminal: a line for every 25 crates instead of one for each, and everything that is no such line.
build_with build --locked --workspace 2>&1 | awk '
  /^ +Compiling / { if (++compiled % 25 == 0) { print "    " compiled " crates compiled"; fflush() }; next }
  /^ +(Finished|Blocking|Downloading|Downloaded|Updating|Locking) / { next }
  { print; fflush() }
  END { if (compiled > 0 && compiled % 25) print "    " compiled " crates compiled" }' >&2
link_stages
