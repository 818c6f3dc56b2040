#!/usr/bin/env bash
# From a clone to a live sweep. The first start sets up .venv; all other state lies in .vishwam.
#
#   ./run.sh [FILE.yaml] [--count N]   sweep experiments/math.yaml (or FILE) on this machine, with a live report
#   ./run.sh test [pytest arguments]   set up and pass the tests
#   ./run.sh benchmark [NAME]          measure; tables here, JSON in .vishwam/benchmarks
#   ./run.sh serve | stop              the embedded W&B server: in the foreground | end the one in the background
set -euo pipefail
caller="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")"
export VISHWAM_HOME="${VISHWAM_HOME:-$PWD/.vishwam}"
# Every trial is a process of its own, and would compile the same sources again.
unset PYTHONDONTWRITEBYTECODE

find_python() {
  local name
  for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "run.sh: needs Python 3.11 or newer; set PYTHON to one" >&2
  exit 2
}

accelerator() {
  if [ -e /proc/driver/nvidia/version ] || nvidia-smi >/dev/null 2>&1; then
    echo cuda
  elif [ -e /dev/accel0 ] || [ -n "${TPU_NAME:-}" ]; then
    echo tpu
  fi
}

# uv is faster but knows nothing of pip's index settings: when it fails, pip does it.
install() {
  if command -v uv && { [ -x .venv/bin/python ] || uv venv --python "$python" .venv; } &&
    uv pip install --python .venv/bin/python -e "$1" -c constraints.txt; then
    return
  fi
  .venv/bin/python -m pip --version || "$python" -m venv --clear .venv
  .venv/bin/python -m pip install --disable-pip-version-check -e "$1" -c constraints.txt
}

# Installs when something that decides the installation has changed; else takes no time.
set_up() {
  local extras stamp python
  extras="$(printf '%s\n' "$@" $(accelerator) | sort -u | paste -sd, -)"
  stamp="$(cat setup.cfg constraints.txt pyproject.toml; echo "$PWD")"
  if [ -f .venv/installed ] && [ "$(sed 1d .venv/installed)" = "$stamp" ]; then
    # Everything asked for is there already, possibly with more.
    local have missing=
    have=",$(head -n 1 .venv/installed),"
    for extra in ${extras//,/ }; do [[ "$have" == *",$extra,"* ]] || missing=yes; done
    [ -z "$missing" ] && return
    extras="$(printf '%s\n' ${extras//,/ } $(head -n 1 .venv/installed | tr , ' ') | sort -u | paste -sd, -)"
  fi
  python="$(find_python)"
  echo "setting up .venv${extras:+ with $extras} (about 2 minutes the first time)"
  rm -f .venv/installed
  mkdir -p "$VISHWAM_HOME/logs"
  local log="$VISHWAM_HOME/logs/set-up.log"
  if ! install ".${extras:+[$extras]}" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "run.sh: the installation failed; the whole of it is in $log" >&2
    exit 1
  fi
  printf '%s\n%s\n' "$extras" "$stamp" >.venv/installed
}

case "${1:-}" in
  test)
    shift
    set_up dev
    # A file's tests share servers and compiled programs, so files are what is dealt out.
    exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
    ;;
  benchmark)
    shift
    set_up dev
    exec .venv/bin/python -m tests.benchmarks "$@"
    ;;
  serve | stop)
    set_up
    exec .venv/bin/vishwam "$@"
    ;;
  -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' run.sh
    ;;
  *)
    set_up
    # A sweep file is named as seen from where the command was typed; what it runs is relative to here.
    if [ -f "$caller/${1:-}" ]; then set -- "$caller/$1" "${@:2}"; fi
    exec .venv/bin/vishwam launch "$@"
    ;;
esac
