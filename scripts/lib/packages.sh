# Installs what is missing of the groups in scripts/packages.
# shellcheck shell=bash

packages_of() {
  local group
  for group in "$@"; do
    awk -v group="$group" '$1 == group {print $2}' "$ATOLL_ROOT/scripts/packages"
  done
}

_is_installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | head -n 1) == installed ]] && return 0
  # An npm or a node from elsewhere than Debian will do as well.
  case $1 in
    npm) command -v npm >/dev/null ;;
    nodejs) command -v node >/dev/null ;;
    *) return 1 ;;
  esac
}

# How to become root: nothing for root; sudo without a password, or with a terminal to ask it on; else fails.
_as_root=()
_find_root() {
  [[ $(id -u) == 0 ]] && return 0
  command -v sudo >/dev/null || return 1
  if sudo -n true 2>/dev/null || { : </dev/tty; } 2>/dev/null; then
    _as_root=(sudo)
    return 0
  fi
  return 1
}

# What apt says, as one line that moves on a terminal, and as a line every 25 packages elsewhere.
_apt_progress() {
  awk -v total="$1" -v terminal="$([[ -t 2 ]] && echo 1)" '
    /^Setting up / {
      n++
      if (terminal) printf "\r\033[K    %d set up: %s", n, $3 > "/dev/stderr"
      else if (n % 25 == 0) printf "    %d set up\n", n > "/dev/stderr"
    }
    END { if (terminal && n) printf "\r\033[K" > "/dev/stderr"; if (n) printf "    %d packages installed\n", n > "/dev/stderr" }'
}

# install_packages GROUP...: nothing to do is quick and silent. Exits 2 with the line to type when it may not.
install_packages() {
  local name missing=() log
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    die -2 "this builds on Debian 12 and its kin (no apt-get here); elsewhere use docker-compose up"
  while read -r name; do
    _is_installed "$name" || missing+=("$name")
  done < <(packages_of "$@")
  ((${#missing[@]} == 0)) && return 0

  step "Installing ${#missing[@]} packages by apt"
  if ! _find_root; then
    warn "That needs root, or sudo and a terminal to ask its password on. As root, type:"
    printf '\n  apt-get update && apt-get install -y --no-install-recommends %s\n\n' "${missing[*]}" >&2
    exit 2
  fi
  mkdir -p "$ATOLL_STATE/logs"
  log=$ATOLL_STATE/logs/apt.log
  say "${missing[*]}"
  if ! "${_as_root[@]}" apt-get update >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get update failed; its words are above"
  fi
  if ! "${_as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -o DPkg::Lock::Timeout=120 "${missing[@]}" </dev/null 2>&1 | tee -a "$log" | _apt_progress "${#missing[@]}"; then
    tail -n 20 "$log" >&2
    die "apt-get install failed; its words are above, all of them in $log"
  fi
}

# unpack_program PATH PACKAGE [PACKAGE...]: a program out of a Debian package, with the packages of its libraries,
# unpacked beside the tree instead of installed, so that no service starts. Prints where it is.
unpack_program() {
  local program=$ATOLL_STATE/tools/$1 folder package
  shift
  if [[ ! -x $program ]]; then
    step "Unpacking Debian's $1 into ${ATOLL_STATE##*/}/tools (no service is started)"
    folder=$(mktemp -d)
    if ! (cd "$folder" && apt-get download "$@") >"$folder/log" 2>&1; then
      # No package lists yet, or old ones.
      if ! _find_root; then
        rm -rf "$folder"
        die -2 "$1 is needed and apt has no lists: as root, type: apt-get update"
      fi
      "${_as_root[@]}" apt-get update >>"$folder/log" 2>&1 || true
      (cd "$folder" && apt-get download "$@") >>"$folder/log" 2>&1 || {
        cat "$folder/log" >&2
        die "cannot download $*"
      }
    fi
    mkdir -p "$ATOLL_STATE/tools"
    for package in "$folder"/*.deb; do dpkg -x "$package" "$ATOLL_STATE/tools"; done
    rm -rf "$folder"
  fi
  printf '%s\n' "$program"
}
