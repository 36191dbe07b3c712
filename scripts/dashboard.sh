#!/usr/bin/env bash
# make dashboard: builds the dashboard into dashboard/dist, from where the next build puts it into the program; says its size.
#
#   scripts/dashboard.sh [--if-needed]    with it: only where something is newer than what was built, and where npm is there or can
#                                         be installed; else a line says what to do, and the build goes on without
source "$(dirname "$0")/lib.sh"

if [[ ${1:-} == --if-needed ]]; then
  if [[ -f dashboard/dist/index.html && -z $(cd dashboard && find src public index.html package-lock.json vite.config.ts scripts/compress.mjs -newer dist/index.html -type f -print -quit) ]]; then
    exit 0
  fi
  if ! command -v npm >/dev/null && ! { [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null && scripts/install.sh dashboard; }; then
    say '    without the dashboard: npm is missing; install it (Debian: apt-get install --no-install-recommends npm), then make build'
    exit 0
  fi
else
  scripts/install.sh dashboard
fi
step 'building the dashboard'
use_node || fail 'no Node.js that is new enough, and none could be fetched' 'Node.js 20.19, 22.12 or newer, with npm: https://nodejs.org'
dashboard_packages
(cd dashboard && npm run --silent build >&2)
done_step dashboard/dist
