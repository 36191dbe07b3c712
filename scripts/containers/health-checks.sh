#!/usr/bin/env bash
# health-checks.sh PARENT SERVICE: runs the health checks of podman's containers, which podman leaves to systemd.
#
# Ends with the process PARENT, and ends podman's SERVICE then, which nobody needs any more.

# After the check that is under way: its helper would stay behind.
trap exit TERM

while kill -0 "$1" 2>/dev/null; do
  for container in $(podman ps --quiet); do
    podman healthcheck run "$container"
  done
  sleep 2
done
kill -TERM "$2"
