#!/usr/bin/env bash
# contain.sh ROOT FOLDER:TARGET... -- COMMAND...
# Runs a command as process 1 and uid 1000, without capabilities, on a read-only root in which only the mounted folders can be written:
# what the manifests ask of the kubelet. Only mounts, processes and names are the container's own; the network is this machine's.
set -euo pipefail
if [ "${CONTAINED:-}" != yes ]; then
  exec env CONTAINED=yes unshare --mount --pid --ipc --uts --fork --kill-child --propagation private "$0" "$@"
fi
unset CONTAINED
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
while [ "$1" != -- ]; do
  mount --bind "${1%%:*}" "$root${1##*:}"
  shift
done
shift
exec chroot "$root" setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
