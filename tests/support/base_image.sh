#!/usr/bin/env bash
# Makes the base image of the Docker tests without an image registry: a minimal Debian bookworm with Python 3.11,
# standing in for the kits' default base (python:3.11-slim-bookworm). Owns the base only, no engine.
#
#   DOCKER_HOST=unix:///path/docker.sock tests/support/base_image.sh [NAME]
#
# Prints the image's name. Needs root, debootstrap and a Docker daemon. Does nothing when the image is there already.
# Packages come from the mirror that this machine's own apt uses; the image gets the same sources and the same
# certificate authorities, so that apt-get and pip work in `docker build --network host` wherever they work outside.
set -euo pipefail

image=${1:-recipegen-test-base:bookworm}
suite=bookworm
# The compiler and the two libraries are what vLLM on the CPU needs: with them here no later build fetches them.
packages=python3,python3-venv,python3-dev,ca-certificates,curl,libnuma1,libgomp1,g++

fail() {
  printf 'base_image.sh: %s\n' "$1" >&2
  exit 3
}

command -v docker >/dev/null || fail 'no docker client: install docker.io'
docker version >/dev/null \
  || fail "no Docker daemon answers at ${DOCKER_HOST:-the default socket}: start dockerd, or set DOCKER_HOST"
if docker image inspect "$image" >/dev/null 2>&1; then
  printf '%s\n' "$image"
  exit 0
fi
command -v debootstrap >/dev/null || fail 'debootstrap is missing: apt-get install debootstrap'
[ "$(id -u)" = 0 ] || fail 'debootstrap needs root: run this as root'

# "uri suite component" of each Debian archive this machine's apt knows, whatever format its sources are in.
sources=$(
  apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' 2>/dev/null \
    | awk -v suite="$suite" '$2 ~ "^" suite "(-updates|-security)?$" && $3 == "main"' \
    | sort -u
) || sources=''
mirror=$(awk -v suite="$suite" '$2 == suite {print $1; exit}' <<<"$sources")

work=$(mktemp -d "${TMPDIR:-/var/tmp}/recipegen-base.XXXXXX")
# --one-file-system: an interrupted debootstrap may have left /proc mounted inside.
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root
log=$work/debootstrap.log

# Without a mirror (another distribution's machine) debootstrap takes its own default.
if ! debootstrap --variant=minbase --include="$packages" "$suite" "$root" ${mirror:+"$mirror"} >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  [ ! -f "$root/debootstrap/debootstrap.log" ] || tail -n 20 "$root/debootstrap/debootstrap.log" >&2
  fail "debootstrap of $suite failed (its log's end stands above)"
fi

if [ -n "$sources" ]; then
  awk '{print "deb " $0}' <<<"$sources" >"$root/etc/apt/sources.list"
fi
# As the official images have it: no translations, no caches of package lists (80 MB in every layer that asks apt).
cat >"$root/etc/apt/apt.conf.d/docker-clean" <<'CONF'
Acquire::Languages "none";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CONF
# Up to date now, or every build would upgrade the same packages again.
export DEBIAN_FRONTEND=noninteractive
if ! { chroot "$root" apt-get update && chroot "$root" apt-get upgrade --yes; } >>"$log" 2>&1; then
  tail -n 20 "$log" >&2
  fail 'the packages of the base cannot be brought up to date (the end of the log stands above)'
fi
# In a file of its own: an upgrade of ca-certificates inside the image writes the usual one anew.
authorities=/etc/ssl/test-authorities.crt
cp /etc/ssl/certs/ca-certificates.crt "$root$authorities"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

# pip carries authorities of its own and has to be told to use others.
tar --one-file-system -C "$root" -c . | docker import \
  --change 'ENV LANG=C.UTF-8' \
  --change "ENV PIP_CERT=$authorities" \
  --change "ENV SSL_CERT_FILE=$authorities" \
  --change "ENV CURL_CA_BUNDLE=$authorities" \
  --change 'LABEL org.opencontainers.image.title="recipegen test base"' \
  --change 'CMD ["python3"]' \
  - "$image" >/dev/null
printf '%s\n' "$image"
