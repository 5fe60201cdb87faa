# Sourced by every script. Sets ATOLL_ROOT and the manners of output: what is going on goes to stderr.
# shellcheck shell=bash
ATOLL_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
ATOLL_STATE=${ATOLL_STATE:-$ATOLL_ROOT/.atoll}

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  _bold=$'\e[1m' _dim=$'\e[2m' _red=$'\e[31m' _green=$'\e[32m' _off=$'\e[0m'
else
  _bold='' _dim='' _red='' _green='' _off=''
fi

step() { printf '%s==> %s%s\n' "$_bold" "$*" "$_off" >&2; }
say() { printf '    %s\n' "$*" >&2; }
good() { printf '    %s%s%s\n' "$_green" "$*" "$_off" >&2; }
warn() { printf '    %s%s%s\n' "$_red" "$*" "$_off" >&2; }

# die [-STATUS] MESSAGE...
die() {
  local status=1
  if [[ $1 =~ ^-[0-9]+$ ]]; then
    status=${1#-}
    shift
  fi
  printf '%s%s: %s%s\n' "$_red" "${0##*/}" "$*" "$_off" >&2
  exit "$status"
}

# usage SCRIPT: prints the comment that the script opens with.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"; }

# As many jobs as there are cores, but no more than memory carries: a source with gRPC takes over 1 GiB.
jobs_for_this_machine() {
  local cores memory_gib jobs
  cores=$(nproc)
  memory_gib=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
  jobs=$((memory_gib * 2 / 3))
  ((jobs > cores)) && jobs=$cores
  ((jobs < 1)) && jobs=1
  echo "$jobs"
}
