#!/usr/bin/env bash
# make dist: packs the program so that its user needs no compiler.
#
# dist/sluice-VERSION-TARGET.tar.gz holds sluice and the stages as programs of their own, completions, the JSON Schema, the
# shipped pipelines, README, documents and licence; beside it is its sha256. PROFILE chooses how it is built (dist: small and
# fast, half an hour on two cores; dev: what is built already).
source "$(dirname "$0")/lib.sh"

profile=${PROFILE:-dist}
stages=(create-tables url-to-landing landing-to-raw raw-to-use-case raw-to-cassandra use-case-to-cassandra)

scripts/install.sh build
scripts/dashboard.sh --if-needed || say '    without the dashboard: it could not be built, see above; make dashboard tries again'
# Cargo calls the folder of the profile dev by another name.
folder=$profile
[[ $profile != dev ]] || folder=debug

step "building with the profile $profile"
# Without default features: those are crash points, for tests. Only sluice is linked, with LTO each link compiles all dependencies
# once more: under the name of a stage it is that stage's program.
build_with build --locked --workspace --profile "$profile" --no-default-features --bin sluice >&2
done_step

programs=$(target_dir)/$folder
! grep -q SLUICE_CRASH_AT "$programs/sluice" || fail "$programs/sluice has crash points, which are for tests only"
version=$("$programs/sluice" --version | awk '{ print $2 }')
target=$(rustc -vV | sed -n 's/^host: //p')
name=sluice-$version-$target

step "packing $name.tar.gz"
packing=$(mktemp -d)
trap 'rm -rf "$packing"' EXIT
root=$packing/$name
mkdir -p "$root/bin" "$root/completions" dist
# A program of the profile dev holds line tables that nobody needs who has no sources.
strip -o "$root/bin/sluice" "$programs/sluice"
for stage in "${stages[@]}"; do
  ln -s sluice "$root/bin/$stage"
done
for shell in bash zsh fish elvish powershell; do
  "$programs/sluice" completions "$shell" >"$root/completions/sluice.$shell"
done
"$programs/sluice" schema >"$root/pipeline.schema.json"
cp LICENSE README.md "$root"
cp -r docs "$root"
mkdir "$root/pipelines"
for definition in pipelines/*/pipeline.toml; do
  cp -r "$(dirname "$definition")" "$root/pipelines"
done
# The same contents make the same bytes: order, times and owners are settled.
tar --create --directory "$packing" --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner "$name" |
  gzip --no-name >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
done_step "$(du -h "dist/$name.tar.gz" | cut -f 1)"
echo "dist/$name.tar.gz"
