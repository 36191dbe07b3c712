#!/usr/bin/env bash
# make check: what neither compiler nor tests look at. Every finding is printed; one is enough to fail.
source "$(dirname "$0")/lib.sh"

scripts/install.sh tools

tools=$(python_tools scripts/tools.txt)

findings=0
finding() { say "${red}check:${plain} $1"; findings=$((findings + 1)); }
check() { # WHAT COMMAND...: the command says itself what it found
  local what=$1
  shift
  if "$@"; then say "ok: $what"; else finding "$what"; fi
}

# Nothing of the environment of whoever checks.
composed() { env -u ETL_DEBUG -u SLUICE_IMAGE "$@" "$tools/bin/docker-compose" --file docker-compose.yml config --quiet; }

check 'scripts (shellcheck)' "$tools/bin/shellcheck" scripts/*.sh scripts/containers/*.sh scripts/containers/cassandra/start .ci/run
check 'Dockerfile (hadolint)' "$tools/bin/hadolint" Dockerfile scripts/containers/cassandra/Dockerfile
check 'compose file, nothing set' composed
check 'compose file, ETL_DEBUG empty' composed ETL_DEBUG=
check 'compose file, ETL_DEBUG=1 and an image' composed ETL_DEBUG=1 SLUICE_IMAGE=registry.example/sluice:1

# The borders between crates (ARCHITECTURE.md). `tests` stands outside: it looks at everything.
only_in() { # DEPENDENCY CRATE...: declared by no other crate than these
  local dependency=$1 manifest crate
  shift
  for manifest in */Cargo.toml; do
    crate=${manifest%/Cargo.toml}
    [[ $crate != tests && " $* " != *" $crate "* ]] || continue
    if grep -qE "^$dependency(\.| |=)" "$manifest"; then
      finding "$manifest declares $dependency, which is for $* only"
    fi
  done
}
before=$findings
for dependency in deltalake datafusion parquet object_store; do only_in "$dependency" zones; done
only_in scylla cassandra
for dependency in reqwest clap miette indicatif; do only_in "$dependency" pipelines; done
only_in zones pipelines
only_in cassandra api pipelines
for dependency in axum hyper tower-http tokio-rustls; do only_in "$dependency" api; done
only_in api pipelines
only_in model zones cassandra api pipelines
for dependency in tokio deltalake reqwest; do
  ! grep -qE "^$dependency(\.| |=)" model/Cargo.toml || finding "model declares $dependency: it has no IO and no runtime"
done
# In what ships: without the tests at the end of a file and without files of tests.
in_code() { # WHAT PATTERN CRATE...
  local what=$1 pattern=$2 file
  shift 2
  while IFS= read -r file; do
    if sed '/^#\[cfg(test)\]/,$d' "$file" | grep -nE "$pattern" | sed "s|^|$file:|" | grep . >&2; then finding "$what"; fi
  done < <(find "${@/%//src}" -name '*.rs' ! -path '*/tests/*' ! -name 'tests.rs')
}
in_code 'a library prints' '(^|[^a-z_])e?print(ln)?!\(|dbg!\(' model zones cassandra api
in_code 'a library exits' 'process::exit' model zones cassandra api
in_code 'a library reads the environment' 'env::var' model zones cassandra api
# It hangs under a bounded pool, reads its source twice, and its clauses over what no source row matches read whole tables
# (docs/decisions/0001-upsert.md).
in_code 'the MERGE of delta-rs is used' 'operations::merge|MergeBuilder|when_not_matched|when_matched' zones
in_code 'the program knows a data set' 'session_events|session_id|player_id|oulad|code_module|id_student' model zones cassandra api pipelines
[[ $findings -ne $before ]] || say 'ok: borders between crates'

# Documents: links lead somewhere, every setting is listed.
before=$findings
while IFS=: read -r file link; do
  target=${link%%#*}
  [[ -z $target || -e $(dirname "$file")/$target ]] || finding "$file links to $link, which is not there"
done < <(grep -oE '\]\([^)]+\)' README.md ARCHITECTURE.md CONTRIBUTING.md docs/*.md docs/decisions/*.md |
  sed -E 's/\]\(([^)]*)\)$/\1/' | grep -vE ':(https?|mailto):')
while IFS= read -r variable; do
  grep -qF "\`$variable\`" README.md || finding "README.md does not list the setting $variable"
done < <(grep -rhoE 'env = "[A-Z_]+"' pipelines/src | sed -E 's/env = "(.*)"/\1/' | sort -u)
[[ $findings -ne $before ]] || say 'ok: documents'

[[ $findings -eq 0 ]] || fail "$findings finding(s)"
