#!/usr/bin/env bash
# Builds the images of docker/Dockerfile without a daemon and without a registry of images. The base images, which can't be had
# that way, are stood in for by Debian packages and this machine's Node, laid out as in the official images.
# Needs root, buildah and mmdebstrap, Debian's mirror and npm's registry.
set -euo pipefail
cd "$(dirname "$0")/../../.."
version=$(sed -n 's/^ARG NODE_VERSION=//p' docker/Dockerfile)
driver=${BUILDAH_STORAGE_DRIVER:-overlay}
run_buildah() { buildah --storage-driver "$driver" "$@"; }

base() { # tag packages
  run_buildah inspect --type image "docker.io/library/node:$1" >/dev/null 2>&1 && return
  local context
  context=$(mktemp -d)
  mmdebstrap --quiet --variant=minbase --include="ca-certificates,$2" bookworm "$context/root.tar"
  mkdir -p "$context/local/bin" "$context/local/lib/node_modules" "$context/local/include"
  cp "$(command -v node)" "$context/local/bin/node"
  cp -r "$(npm root -g)/npm" "$context/local/lib/node_modules/"
  cp -r /usr/include/node "$context/local/include/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$context/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$context/local/bin/npx"
  # A proxy of this machine may sign with an authority of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$context/"
  # As in Debian's official images: a layer keeps nothing of what apt has downloaded.
  cat >"$context/docker-clean" <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
  cat >"$context/Dockerfile" <<END
FROM scratch
ADD root.tar /
COPY local /usr/local
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY docker-clean /etc/apt/apt.conf.d/docker-clean
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
END
  run_buildah bud --isolation chroot -t "docker.io/library/node:$1" "$context"
  rm -r "$context"
}

base "$version-bookworm" python3,make,g++
base "$version-bookworm-slim" util-linux
for target in hub gateway node-cpu node node-rocm; do
  run_buildah bud --layers --pull-never --isolation chroot --format docker -f docker/Dockerfile --target "$target" \
    -t "localhost/pangalactic/$target:test" .
done
