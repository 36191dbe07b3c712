# shellcheck shell=bash
# For the scripts beside it: where things are, how steps are told and timed, whose process is whose. Sourced, never run.
#
# What a user asked for is on stdout; what happens meanwhile is on stderr.

set -euo pipefail
# A point in times, whatever the language of the machine.
export LC_NUMERIC=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Also where rustup's line in a shell's start file was not read.
if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
  PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi

# shellcheck disable=SC2034 # used by those that source this
state_dir=${SLUICE_DIR:-.sluice}

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' red='' plain=''
fi

say() { printf '%s\n' "$*" >&2; }

fail() { # MESSAGE [HINT]
  say "${red}error:${plain} $1"
  [[ $# -lt 2 ]] || say "hint: $2"
  exit "${exit_code:-1}"
}

# step TITLE: a step begins.  done_step [TEXT]: it is done; says how long it took.
step() {
  step_title=$1 step_started=$EPOCHREALTIME
  say "${bold}==> $step_title${plain}"
}
done_step() { say "    ${dim}$(seconds_since "$step_started") s${1:+  $1}${plain}"; }

seconds_since() { # a value of EPOCHREALTIME
  local micros=$((${EPOCHREALTIME/./} - ${1/./}))
  printf '%d.%d' $((micros / 1000000)) $((micros % 1000000 / 100000))
}

# Where cargo puts programs; a configuration may have moved it.
target_dir() {
  cargo metadata --no-deps --format-version 1 --offline | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# cargo, with what an interrupted build may have left cleared away before.
#
# A compiler that was stopped in the middle can leave incremental state behind with which every later build fails to link
# ("undefined hidden symbol", rust-lang/rust#81280). So an unfinished build is marked, and the state thrown away by the next one.
build_with() { # ARGUMENT... of cargo
  local debug mark lock status=0
  debug=$(target_dir)/debug
  mkdir -p "$debug"
  mark=$debug/.unfinished-build
  exec {lock}>>"$mark"
  if ! flock --nonblock "$lock"; then
    # Somebody else is building: cargo waits for that by itself.
    cargo "$@" {lock}>&-
    return
  fi
  if [[ -s $mark ]]; then
    say '    the last build was interrupted: compiling our own crates afresh'
    rm -rf "$debug/incremental"
  fi
  echo "$*" >"$mark"
  cargo "$@" {lock}>&- || status=$?
  # Beyond 128 it was a signal that ended cargo.
  [[ $status -ge 128 ]] || : >"$mark"
  exec {lock}>&-
  return "$status"
}

# An environment of the Python packages in LIST, shared by all clones and made anew when the list changes: prints its folder.
python_tools() { # LIST
  local cache tools lock
  cache=${SLUICE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
  tools=$cache/tools-$(sha256sum "$1" | cut -c 1-12)
  if [[ ! -e $tools/ready ]]; then
    mkdir -p "$cache"
    # Another script may be at it, or have ended it meanwhile.
    exec {lock}>"$tools.lock"
    flock "$lock"
    if [[ ! -e $tools/ready ]]; then
      say "    fetching $(sed 's/#.*//; s/==.*//; /^$/d' "$1" | paste -sd ' '), once"
      python3 -m venv --clear "$tools"
      "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$1"
      touch "$tools/ready"
    fi
    exec {lock}>&-
  fi
  printf '%s' "$tools"
}

# The path of promtool: of the search path, or out of Debian's package, which is unpacked beside the other tools and not installed, since
# it would start a server.
promtool_path() {
  local cache tools folder lock
  if type -P promtool; then
    return
  fi
  cache=${SLUICE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
  tools=$cache/promtool
  mkdir -p "$cache"
  exec {lock}>"$tools.lock"
  flock "$lock"
  if [[ ! -x $tools/usr/bin/promtool ]]; then
    command -v apt-get >/dev/null || fail 'there is no promtool' "install Prometheus' promtool, and have it in the search path"
    folder=$(mktemp -d "$cache/promtool.XXXXXX")
    # The lists of packages may be old, or not there at all; only root may renew them.
    if ! (cd "$folder" && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; }) >"$folder/log" 2>&1; then
      cat "$folder/log" >&2
      rm -rf "$folder"
      fail 'apt-get could not fetch the package prometheus, for its promtool' 'see above; or install promtool yourself, and have it in the search path'
    fi
    rm -rf "$tools"
    dpkg-deb -x "$folder"/prometheus_*.deb "$folder/unpacked"
    mv "$folder/unpacked" "$tools"
    rm -rf "$folder"
  fi
  exec {lock}>&-
  printf '%s' "$tools/usr/bin/promtool"
}

# Node.js as Vite needs it (20.19, 22.12 or newer), and npm: whether the machine has both.
has_node() {
  local version major minor
  version=$(node --version 2>/dev/null) && command -v npm >/dev/null || return 1
  IFS=. read -r major minor _ <<<"${version#v}"
  [[ $major -gt 22 || ($major -eq 22 && $minor -ge 12) || ($major -eq 20 && $minor -ge 19) ]]
}

# Puts such a Node.js on the path: that of the machine; or, where that is older, one from npm, shared by all clones. Ends with 1
# where there is not even npm, or no such program for this processor.
use_node() {
  local version=22.23.3 npm=10.9.9 cache tools lock cpu
  ! has_node || return 0
  command -v npm >/dev/null || return 1
  case $(uname -m) in
    x86_64) cpu=x64 ;;
    aarch64) cpu=arm64 ;;
    *) return 1 ;;
  esac
  cache=${SLUICE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
  tools=$cache/node-$version
  if [[ ! -e $tools/ready ]]; then
    mkdir -p "$cache"
    exec {lock}>"$tools.lock"
    flock "$lock"
    if [[ ! -e $tools/ready ]]; then
      say "    fetching Node.js $version, once"
      rm -rf "$tools"
      mkdir "$tools"
      # With an npm of its own: packages for other versions are left out by what runs npm.
      npm install --silent --no-audit --no-fund --no-update-notifier --ignore-scripts --prefix "$tools" "node-linux-$cpu@$version" "npm@$npm" >&2 &&
        "$tools/node_modules/.bin/node" --version >/dev/null && touch "$tools/ready" || return 1
    fi
    exec {lock}>&-
  fi
  PATH=$tools/node_modules/.bin:$PATH
}

# What the dashboard is built and tested with, as its lock file says. What was installed from this lock file is not installed again.
dashboard_packages() {
  if [[ ! -f dashboard/node_modules/.package-lock.json || dashboard/package-lock.json -nt dashboard/node_modules/.package-lock.json ]]; then
    (cd dashboard && npm ci --silent --no-audit --no-fund >&2)
  fi
}

# The archive of the Open University data set cannot be made here; a small one of its shape can.
need_oulad_url() {
  [[ -z ${OULAD_URL:-} ]] || return 0
  exit_code=2 fail 'OULAD_URL is not set: it names the archive of the Open University data set, a zip with seven CSV files' \
    "make $(basename "$0" .sh) OULAD_URL=file:///data/oulad_csv.zip   (a small one of its shape: oulad-file --out /data/oulad_csv.zip)"
}

# Whether process PID runs PROGRAM with ARGUMENT among its arguments: a number alone may be anybody's by now.
is_process() { # PID PROGRAM ARGUMENT
  local arguments argument
  [[ $1 =~ ^[0-9]+$ && -r /proc/$1/cmdline ]] || return 1
  mapfile -d '' -t arguments <"/proc/$1/cmdline" 2>/dev/null || return 1
  [[ ${#arguments[@]} -gt 0 && ${arguments[0]##*/} == "$2" ]] || return 1
  for argument in "${arguments[@]:1}"; do
    [[ $argument != "$3" ]] || return 0
  done
  return 1
}

# A plain value of a one-line or pretty JSON document that a program of ours wrote: json_value FILE KEY
json_value() { sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$1" | head -n 1; }
