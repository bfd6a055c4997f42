# Sourced by tools/run and tools/test: installs missing Debian packages and says which.

# need_packages NAME...: nothing happens when all are there. A package's service is not started.
need_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "please install what these Debian packages hold: ${missing[*]}" >&2
    return 1
  fi
  echo "installing Debian packages: ${missing[*]}" >&2
  local root="" policy=/usr/sbin/policy-rc.d made=0 status=0
  [ "$(id -u)" = 0 ] || root=sudo
  if [ ! -e $policy ]; then   # exit 101: "do not start services"
    printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null && $root chmod +x $policy && made=1
  fi
  { $root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq \
      --no-install-recommends "${missing[@]}"; } >/tmp/apt.$$.log 2>&1 || status=$?
  [ $made = 0 ] || $root rm -f $policy
  [ $status = 0 ] || { tail -n 20 /tmp/apt.$$.log >&2; echo "apt-get failed with status $status" >&2; }
  rm -f /tmp/apt.$$.log
  return $status
}

# need_swift: the toolchain is not ours to install.
need_swift() {
  command -v swift >/dev/null && return 0
  echo "no swift in PATH: install a Swift 6.2 (or later) toolchain from https://swift.org/install" >&2
  return 1
}
