#!/usr/bin/env bash
# make bench: builds, and measures Sluice beside what people would use instead (bench/run, which takes the arguments).
# PROFILE=dist measures the program as it ships (half an hour of building on two cores); dev is what is built already.
source "$(dirname "$0")/lib.sh"

for argument in "$@"; do
  # These measure nothing.
  case $argument in --list | --render | --help | -h) exec python3 bench/run "$@" ;; esac
done
profile=${PROFILE:-dev}
scripts/install.sh build node tools
# One row needs it, and says so where it is missing.
scripts/install.sh load || true
# Cargo calls the folder of the profile dev by another name.
if [[ $profile == dev ]]; then
  folder=debug
  scripts/build.sh
else
  folder=$profile
  build_with build --locked --workspace --profile "$profile" --no-default-features --bins >&2
fi
exec python3 bench/run --programs "$(target_dir)/$folder" "$@"
