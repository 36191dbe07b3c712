# shellcheck shell=bash
# Podman in the place of a Docker engine, for scripts/compose-test.sh: without an image registry, and apart from every other podman
# of the machine (storage, networks, locks and socket of its own). Needs root. Sourced after lib.sh.
#
# Images are made here: Debian by debootstrap from the mirror that apt uses, Cassandra from the jars of `sluice node`. They stay in
# the cache folder, so that a second run makes none; everything else goes with podman_down. `work` is a temporary folder of the caller.

containers=${SLUICE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}/containers
# Short, since sockets lie in it, whose paths may have 107 letters.
run_dir=/run/sluice-compose-test
work=${work:?}
podman_pid=''
health_pid=''

install_podman() {
  local program packages=()
  for program in podman runc debootstrap iptables; do
    command -v "$program" >/dev/null || packages+=("$program")
  done
  [[ -x /usr/lib/podman/netavark ]] || packages+=(netavark)
  [[ -x /usr/lib/podman/aardvark-dns ]] || packages+=(aardvark-dns)
  if [[ $EUID -ne 0 ]]; then
    fail 'there is no Docker engine, and only root can run podman as it is needed here' \
      'start Docker, or run this as root on Debian or Ubuntu'
  fi
  [[ ${#packages[@]} -gt 0 ]] || return 0
  command -v apt-get >/dev/null || fail "missing: ${packages[*]}" 'start a Docker engine, or install these'
  say "    installing ${packages[*]}"
  local log=$work/apt.log command=(apt-get install -y --no-install-recommends "${packages[@]}")
  export DEBIAN_FRONTEND=noninteractive
  { "${command[@]}" || { apt-get update && "${command[@]}"; }; } >"$log" 2>&1 || { tail -n 15 "$log" >&2; fail "${command[*]} failed"; }
}

podman_up() {
  mkdir -p "$containers" "$run_dir"
  # Storage and networks are for one test at a time.
  exec {podman_lock}>"$containers/lock"
  flock --nonblock "$podman_lock" || fail 'another compose test is running on this machine'
  export CONTAINERS_CONF=$run_dir/containers.conf CONTAINERS_STORAGE_CONF=$run_dir/storage.conf
  export DOCKER_HOST=unix://$run_dir/podman.sock
  # Limits that this machine lets a container have; cgroups by files, since there need be no systemd.
  cat >"$CONTAINERS_CONF" <<CONF
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "$run_dir/tmp"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
[network]
network_backend = "netavark"
network_config_dir = "$run_dir/networks"
CONF
  cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$containers/storage"
runroot = "$run_dir/storage"
CONF
  # From here on `podman` means this one, and may be told to remove everything.
  # shellcheck disable=SC2034 # read by who sources this
  is_up=1
  rm -f "$run_dir/podman.sock"
  remove_containers
  # Ctrl-C at the terminal does not reach it: it is needed to take everything down.
  setsid podman system service --time=0 "unix://$run_dir/podman.sock" {podman_lock}>&- </dev/null >"$work/podman.log" 2>&1 &
  podman_pid=$!
  until [[ -S $run_dir/podman.sock ]]; do
    kill -0 "$podman_pid" 2>/dev/null || fail "podman does not start: $(tail -n 3 "$work/podman.log")"
    sleep 0.1
  done
  setsid scripts/containers/health-checks.sh "$$" "$podman_pid" {podman_lock}>&- </dev/null >/dev/null 2>&1 &
  health_pid=$!
}

podman_down() {
  local pid
  for pid in $health_pid $podman_pid; do
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  health_pid='' podman_pid=''
  remove_containers
  rm -rf "$run_dir"
}

# Whatever compose has left, also that of a test that was killed.
remove_containers() {
  podman rm --all --force --time 5 >/dev/null 2>&1 || true
  podman volume rm --all --force >/dev/null 2>&1 || true
  podman network prune --force >/dev/null 2>&1 || true
}

# A name of Docker's registry, as podman looks it up.
local_image() { printf 'docker.io/library/%s' "$1"; }

make_debian_image() {
  local image root=$work/debian mirror
  image=$(local_image debian:bookworm-slim)
  ! podman image exists "$image" || return 0
  step 'making the image of Debian, once'
  # shellcheck disable=SC2016 # a format of apt's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
    { tail -n 5 "$work/debootstrap.log" >&2; fail 'debootstrap failed'; }
  tar --create --directory "$root" . | podman import --quiet - "$image" >/dev/null
  rm -rf "$root"
  done_step
}

make_cassandra_image() {
  local image context=$work/cassandra jars tools lists=scripts/containers/cassandra hash
  # Another recipe is another image.
  hash=$(cat "$lists"/* cassandra/src/node/pom.xml | sha256sum | cut -c 1-12)
  image=$(local_image cassandra:5.0)
  [[ $(podman image inspect --format '{{index .Labels "sluice.recipe"}}' "$image" 2>/dev/null) != "$hash" ]] || return 0
  step 'making the image of Cassandra, once'
  jars=$(cassandra_jars)
  tools=$(python_tools scripts/tools.txt)
  mkdir -p "$context"
  cp -r "$lists"/* "$jars/lib" "$context"
  # For the Python of the image, whatever that of this machine is.
  "$tools/bin/pip" install --quiet --disable-pip-version-check --target "$context/cqlsh" --python-version 3.11 --only-binary=:all: \
    --platform "manylinux2014_$(uname -m)" --platform "manylinux_2_28_$(uname -m)" --requirement "$lists/tools.txt"
  build_image "$context" --label "sluice.recipe=$hash" --tag "$image"
  done_step
}

cassandra_jars() { # prints their folder; a node that is started fetches them
  local list sluice
  for list in "${containers%/*}"/cassandra-5.*/jars.txt; do
    if [[ -e $list ]]; then
      dirname "$list"
      return
    fi
  done
  sluice=$(target_dir)/debug/sluice
  scripts/install.sh node
  "$sluice" node up --dir "$work/node" --heap 384M >&2
  "$sluice" node down --dir "$work/node" >&2
  dirname "${containers%/*}"/cassandra-5.*/jars.txt
}
