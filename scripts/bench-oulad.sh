#!/usr/bin/env bash
# make bench-oulad: times the Open University pipeline over the archive of OULAD_URL, beside DuckDB reading the same archive into
# Parquet, RUNS times in turn (bench/oulad.py).
source "$(dirname "$0")/lib.sh"

need_oulad_url
scripts/install.sh build node tools
scripts/build.sh
tools=$(python_tools scripts/data-tools.txt)
exec "$tools/bin/python" bench/oulad.py --sluice "$(target_dir)/debug/sluice" --work "$state_dir/bench-oulad" --runs "${RUNS:-3}"
