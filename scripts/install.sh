#!/usr/bin/env bash
# Checks what this machine lacks and installs it: on Debian and Ubuntu as root. Elsewhere it says what to do and ends with 2.
# Needs no network, and a fraction of a second, where nothing is missing.
#
#   scripts/install.sh [build] [node] [tools] [load] [dashboard] [browser] [instructions]    default: the first three
#     build   a C compiler and Rust        node   Java 17 (or 11) and Maven        tools   Python with venv and curl, for make check and make test
#     load    wrk, for make bench-serving
#     dashboard   npm, to build it; it brings a Node.js that is new enough        browser   Chromium, to test it
#     instructions   valgrind, for make bench-instructions
source "$(dirname "$0")/lib.sh"
exit_code=2

rust_version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
packages=()
missing=()

lacks() { # WHAT PACKAGE: what is missing, and the package of Debian that brings it
  missing+=("$1")
  packages+=("$2")
}

is_at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; } # VERSION LEAST

check_build() {
  command -v cc >/dev/null || command -v gcc >/dev/null || lacks 'a C compiler' build-essential
  # The native code among the dependencies is compiled by the C compiler alone; nothing asks for CMake or pkg-config.
}

check_rust() {
  local version
  if ! version=$(rustc --version 2>/dev/null) || ! command -v cargo >/dev/null; then
    fail "Rust $rust_version or newer is missing" \
      "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy"
  fi
  version=${version#rustc }
  version=${version%%[ -]*}
  is_at_least "$version" "$rust_version" || fail "this is Rust $version; $rust_version or newer is needed" \
    'rustup update stable && rustup default stable   (without rustup: https://rustup.rs)'
}

# As the node looks for it: JAVA_HOME, the search path, what is installed.
has_java() {
  local java said
  for java in "${SLUICE_NODE_JAVA:-}" "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    said=$("$java" -version 2>&1) || continue
    [[ $said =~ version\ \"(17|11)[.\"] ]] && return 0
  done
  return 1
}

check_node() {
  local cache=${SLUICE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice} jars
  has_java || lacks 'Java 17 (Cassandra runs on 17 and 11 only)' openjdk-17-jre-headless
  for jars in "$cache"/cassandra-*/jars.txt; do
    [[ ! -e $jars ]] || return 0
  done
  command -v mvn >/dev/null || lacks 'Maven (fetches the jars of Cassandra)' maven
}

check_tools() {
  command -v python3 >/dev/null || lacks 'Python 3' python3
  command -v curl >/dev/null || lacks 'curl' curl
  python3 -c 'import ensurepip, venv' 2>/dev/null || lacks "Python's venv" python3-venv
}

# For the dashboard alone; a program without it needs none of this.
check_dashboard() {
  has_node || command -v npm >/dev/null || lacks 'npm (builds the dashboard)' npm
}

check_browser() {
  [[ -n ${CHROMIUM:-} ]] || command -v chromium >/dev/null || lacks 'Chromium (tests the dashboard)' chromium
}

check_load() {
  command -v wrk >/dev/null || lacks 'wrk (makes the load)' wrk
}

check_instructions() {
  command -v valgrind >/dev/null || lacks 'valgrind (counts instructions)' valgrind
}

install_packages() {
  local command="apt-get install -y --no-install-recommends ${packages[*]}" all
  all=$(printf '%s, ' "${missing[@]}")
  say "missing: ${all%, }"
  if ! command -v apt-get >/dev/null; then
    fail 'this is no Debian or Ubuntu: what is missing cannot be installed from here' 'install it by the means of your system, then try again'
  fi
  if [[ $EUID -ne 0 ]]; then
    fail 'only root may install packages' "sudo $command"
  fi
  say "installing: ${packages[*]}"
  local log
  log=$(mktemp)
  # The lists of packages may be old, or not there at all.
  # shellcheck disable=SC2086 # one word a package
  if ! { DEBIAN_FRONTEND=noninteractive $command || { apt-get update && DEBIAN_FRONTEND=noninteractive $command; }; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install ${packages[*]}" \
      "see above; a system without Java 17 among its packages: unpack one anywhere and set JAVA_HOME, or name a Cassandra that runs: CASSANDRA_HOST"
  fi
  rm -f "$log"
}

[[ $# -gt 0 ]] || set -- build node tools
for group in "$@"; do
  case $group in
    build | node | tools | load | dashboard | browser | instructions) "check_$group" ;;
    *) fail "there is no group $group" 'scripts/install.sh [build] [node] [tools] [load] [dashboard] [browser] [instructions]' ;;
  esac
done
[[ ${#missing[@]} -eq 0 ]] || install_packages
# Last, since nothing here can install it.
[[ " $* " != *' build '* ]] || check_rust
