# Configures a preset where that is needed, and builds.
# shellcheck shell=bash

# Ninja's own line on a terminal; elsewhere a line for each twentieth of the way, and whatever went wrong.
_ninja_progress() {
  local line twentieth last=0
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+)/([0-9]+) ]]; then
      twentieth=$((BASH_REMATCH[1] * 20 / BASH_REMATCH[2]))
      ((twentieth == last)) || printf '    %3d%%  %s\n' $((twentieth * 5)) "$line" >&2
      last=$twentieth
    elif [[ $line != 'ninja: Entering directory'* ]]; then
      printf '%s\n' "$line" >&2
    fi
  done
}

# ccache then trusts the compiler's own list of headers: on an empty cache no source is preprocessed twice.
export CCACHE_DEPEND=1

# build_preset PRESET [NINJA TARGET...]: elsewhere than on a terminal it goes on after an error, to show them all.
build_preset() {
  local preset=$1 folder=$ATOLL_ROOT/build/$1 started=$SECONDS
  shift
  step "Building $preset"
  if [[ ! -f $folder/build.ninja ]]; then
    mkdir -p "$folder"
    if ! (cd "$ATOLL_ROOT" && cmake --preset "$preset") >"$folder/configure.log" 2>&1; then
      tail -n 40 "$folder/configure.log" >&2
      die "cmake --preset $preset failed; its words are above"
    fi
  fi
  if [[ -t 2 ]]; then
    NINJA_STATUS='    [%f/%t %es] ' ninja -C "$folder" -j "$(jobs_for_this_machine)" "$@" >&2 || return 1
  else
    NINJA_STATUS='[%f/%t %es] ' ninja -k 20 -C "$folder" -j "$(jobs_for_this_machine)" "$@" 2>&1 | _ninja_progress || return 1
  fi
  say "built in $((SECONDS - started)) s"
}
