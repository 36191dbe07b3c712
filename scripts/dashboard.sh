#!/usr/bin/env bash
# make dashboard: builds the dashboard into dashboard/dist, from where the next build puts it into the program; says its size.
#
#   scripts/dashboard.sh [--if-needed]    with it: only where npm is there and something is newer than what was built
source "$(dirname "$0")/lib.sh"

cd dashboard
if [[ ${1:-} == --if-needed ]]; then
  command -v npm >/dev/null || exit 0
  if [[ -f dist/index.html && -z $(find src public index.html package-lock.json vite.config.ts scripts/compress.mjs -newer dist/index.html -type f -print -quit) ]]; then
    exit 0
  fi
else
  (cd .. && scripts/install.sh dashboard)
fi
step 'building the dashboard'
# What was installed from this lock file is not installed again.
if [[ ! -f node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --silent --no-audit --no-fund >&2
fi
npm run --silent build >&2
done_step dashboard/dist
