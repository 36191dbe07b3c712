#!/usr/bin/env bash
# make oulad: runs the Open University pipeline over the archive of OULAD_URL and compares every table that comes of it with an
# independent computation over the same CSV files (bench/oulad_truth.py).
#
# CASSANDRA_HOST names a Cassandra that runs already; else the local node is started. Everything that sluice reads (LAKE_URI,
# CASSANDRA_KEYSPACE, ...) reaches it as it is. Report and comparison are on stdout, everything else on stderr. Exit code 1 if a
# table differs.
source "$(dirname "$0")/lib.sh"

need_oulad_url
[[ -z ${ETL_DEBUG:-} ]] || fail 'ETL_DEBUG takes a part of the archive, and the comparison is with all of it' 'unset ETL_DEBUG'
if [[ -n ${CASSANDRA_HOST:-} ]]; then
  scripts/install.sh build tools
else
  scripts/install.sh build node tools
fi
started=$EPOCHREALTIME

step 'building'
scripts/build.sh
sluice=$(target_dir)/debug/sluice
tools=$(python_tools scripts/data-tools.txt)
done_step

if [[ -n ${CASSANDRA_HOST:-} ]]; then
  address=${CASSANDRA_HOST%%,*}
  [[ $address == *:* ]] || address=$address:${CASSANDRA_PORT:-9042}
else
  step 'starting the local Cassandra'
  "$sluice" node up >/dev/null
  address=$(json_value "$state_dir/node.json" host):$(json_value "$state_dir/node.json" port)
  done_step "$address, until make down"
fi

step 'sluice run oulad'
"$sluice" run oulad
done_step

step 'comparing with an independent computation over the CSV files'
"$tools/bin/python" bench/oulad_truth.py --url "$OULAD_URL" --lake "${LAKE_URI:-./lake}" --cassandra "$address" \
  --keyspace "${CASSANDRA_KEYSPACE:-oulad}" --work "$state_dir/oulad"
done_step

say "${bold}==> all of it: $(seconds_since "$started") s${plain}"
