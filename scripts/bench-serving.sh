#!/usr/bin/env bash
# make bench-serving: builds, fills tables, and times `sluice serve` beside the bare driver and beside FastAPI (bench/serving.py).
# PROFILE=dist compares the program as it ships (half an hour of building on two cores); dev is what is built already.
source "$(dirname "$0")/lib.sh"

profile=${PROFILE:-dev}
scripts/install.sh build node tools load
# Cargo calls the folder of the profile dev by another name.
if [[ $profile == dev ]]; then
  folder=debug
  scripts/build.sh
else
  folder=$profile
  build_with build --locked --workspace --profile "$profile" --no-default-features --bins >&2
fi
tools=$(python_tools scripts/serving-tools.txt)
programs=$(target_dir)/$folder
exec "$tools/bin/python" bench/serving.py --sluice "$programs/sluice" --generator "$programs/session-events-file" \
  --driver "$programs/read-directly" --profile "$profile" --work "$state_dir/bench-serving" "$@"
