#!/usr/bin/env bash
# make serve: answers the endpoints of session events, over what make pipeline brought into Cassandra.
#
# The first time it makes an API key, kept in .sluice/api-key for the examples; other keys are made with `sluice keys`.
source "$(dirname "$0")/lib.sh"

key_file=$state_dir/api-key
keys_file=${API_KEYS:-$state_dir/api-keys.json}
export API_KEYS=$keys_file

scripts/build.sh
sluice=$(target_dir)/debug/sluice

if [[ -z ${CASSANDRA_HOST:-} ]]; then
  scripts/install.sh node
  "$sluice" node up >/dev/null
fi

if [[ ! -s $key_file || ! -f $keys_file ]]; then
  mkdir -p "$state_dir"
  (umask 077 && "$sluice" keys make --name 'make serve' >"$key_file.part" && mv "$key_file.part" "$key_file")
fi

address=${API_LISTEN:-127.0.0.1:8080}
say "${bold}==> sluice serve session_events${plain}, until Ctrl-C; try in another terminal:"
say ''
say "  KEY=\$(cat $key_file)"
say "  curl -H \"Authorization: Bearer \$KEY\" 'http://$address/v1/starts-per-hour?hours=24&limit=5'"
say ''
say "Or in a browser, with that key: http://$address/"
say ''
exec "$sluice" serve session_events "$@"
