#!/usr/bin/env bash
# Starts what a machine of a cluster has: its own Docker daemon where DAEMON=1, and sshd, which lets the key in KEY in.
set -euo pipefail
ssh-keygen -q -A
mkdir -p -m 700 /root/.ssh
printf '%s\n' "$KEY" >/root/.ssh/authorized_keys
if [ -n "${OWN_KEY:-}" ]; then
  printf '%s\n' "$OWN_KEY" >/root/.ssh/id_ed25519
  chmod 600 /root/.ssh/id_ed25519
fi
printf 'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' >/root/.ssh/config
if [ "${DAEMON:-}" = 1 ]; then
  dockerd >/var/log/dockerd.log 2>&1 &
fi
exec /usr/sbin/sshd -D -e
