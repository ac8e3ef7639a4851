#!/usr/bin/env bash
# Finds the interpreters of the two stacks, keeps their environments in .venv/, and runs commands in them.
#
#   stack.sh setup               set up both stacks; a stack without an interpreter is reported and skipped
#   stack.sh with STACK CMD...   set up STACK (legacy, modern, or any: the first available one), run CMD in it
#   stack.sh each CMD...         set up both stacks in the same way, run CMD in each; fails if CMD fails in one
#   stack.sh peers               set up .venv/peers: the other frameworks that `make benchmark` runs
#   stack.sh docs CMD...         set up .venv/docs, which builds the documentation site; run CMD in it
#   stack.sh lock                resolve the locked requirements again
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# A stamp also contains the folder, because an environment that is moved no longer works.
root=$PWD

say() { printf 'fl_simu: %s\n' "$*" >&2; }

versions() {
    case $1 in
        legacy) echo 3.7 ;;
        modern) echo 3.11 3.12 3.13 3.10 3.14 ;;
        *) say "no stack is called '$1'; there are legacy and modern"; exit 2 ;;
    esac
}

missing() {
    local what version
    case $1 in
        legacy) what="$1 stack${2:+ $2}: no Python 3.7 (x86-64) was found" version=3.7 ;;
        modern) what="$1 stack${2:+ $2}: no Python 3.10 or newer was found" version=3.11 ;;
        any)
            what='neither Python 3.7 (x86-64) nor 3.10 or newer was found' version=3.7
            [ "$(uname -m)" = x86_64 ] || version=3.11
            ;;
    esac
    say "$what; to get one: 'uv python install $version', 'pyenv install $version'" \
        "or 'conda create -n py${version/./} python=$version'"
}

# Prints every path where a Python of version $1 may be, one per line. None of them is checked yet.
candidates() {
    local version=$1 home folder
    type -ap "python$version" || true
    for folder in "${PYENV_ROOT:-}" "$HOME/.pyenv"; do
        [ -z "$folder" ] || printf '%s\n' "$folder/versions/$version".*/bin/python "$folder/versions/$version"/bin/python
    done
    # conda lists each environment that it creates in this file.
    if [ -f "$HOME/.conda/environments.txt" ]; then
        while IFS= read -r folder; do printf '%s\n' "$folder/bin/python"; done <"$HOME/.conda/environments.txt"
    fi
    home=${CONDA_EXE:-$(type -p conda || true)}
    for folder in "${home%/*/conda}" "${CONDA_PREFIX:-}" "$HOME"/{mini,ana}conda3 "$HOME"/{mini,mamba}forge /opt/conda; do
        [ -z "$folder" ] || printf '%s\n' "$folder"/bin/python "$folder"/envs/*/bin/python
    done
    if type -p uv >/dev/null; then
        UV_PYTHON_DOWNLOADS=never uv python find --system "$version" 2>/dev/null || true
    fi
    type -ap python3 python || true
}

# Prints an interpreter for a stack. It must run, have the right version, and be able to create environments.
# For the legacy stack, torch 1.4.0 must have wheels for it. For a virtual environment, which may disappear,
# the interpreter behind it is printed.
find_python() {
    local stack=$1 version candidate found
    local probe='
import ensurepip, os, platform, sys, venv
stack, version = sys.argv[1:]
right = "%d.%d" % sys.version_info[:2] == version
if stack == "legacy":
    right = right and sys.platform in ("linux", "darwin") and platform.machine() == "x86_64"
base = os.path.join(sys.base_prefix, "bin", "python" + version)
if right:
    print(base if os.path.exists(base) else sys.executable)
'
    for version in $(versions "$stack"); do
        while IFS= read -r candidate; do
            [ -x "$candidate" ] || continue
            found=$("$candidate" -c "$probe" "$stack" "$version" 2>/dev/null </dev/null) || continue
            if [ -n "$found" ]; then
                printf '%s\n' "$found"
                return
            fi
        done < <(candidates "$version")
    done
    return 1
}

# Runs a step with its output in a log, which is shown only if the step fails.
quietly() {
    local log=$1
    shift
    "$@" >>"$log" 2>&1 </dev/null && return
    tail -n 40 "$log" >&2
    say "this failed: $* (all of its output: $log)"
    return 1
}

install_package() {
    quietly "$2" "$1/bin/python" -m pip install --no-deps --no-build-isolation --disable-pip-version-check --editable .
}

stamp_of() { printf '%s %s\n' "$(cksum <"requirements/$1.txt")" "$root"; }

# Whether .venv/STACK was created completely from the current lock, and still runs.
ready() {
    [ "$(cat ".venv/$1/complete" 2>/dev/null)" = "$(stamp_of "$1")" ] && ".venv/$1/bin/python" -c '' 2>/dev/null
}

available() { ready "$1" || find_python "$1" >/dev/null; }

# Creates .venv/STACK from its lock. The stamp is written last, so an incomplete environment has none and is
# created again.
setup() {
    local stack=$1 python=$2 start=$SECONDS
    local venv=.venv/$stack lock=requirements/$stack.txt log=.venv/$stack.log
    trap 'say "interrupted; the next set-up of the $stack stack starts afresh"; exit 130' INT
    say "setting the $stack stack up in $venv with $python"
    mkdir -p .venv
    rm -rf "$venv" "$log"
    quietly "$log" "$python" -m venv "$venv"
    say "installing $(grep -c '^[a-z]' "$lock") locked packages (first time: some minutes and up to 1 GB)"
    # The tools come first: an old pip can neither read today's wheels nor build the two packages without wheels.
    # shellcheck disable=SC2046
    quietly "$log" "$venv/bin/python" -m pip install --disable-pip-version-check \
        $(grep -E '^(pip|setuptools|wheel)==' "$lock")
    quietly "$log" "$venv/bin/python" -m pip install --disable-pip-version-check -r "$lock"
    install_package "$venv" "$log"
    stamp_of "$stack" >"$venv/complete"
    trap - INT
    say "the $stack stack is ready ($((SECONDS - start)) s); to enter it: . $venv/bin/activate"
}

# Sets up a stack and runs a command in it; status 3 if the stack has no interpreter.
with_stack() {
    local stack=$1 python
    shift
    if [ "$stack" = any ]; then
        stack=legacy
        available legacy || stack=modern
        available "$stack" || { missing any; return 3; }
    fi
    if ! ready "$stack"; then
        python=$(find_python "$stack") || { missing "$stack"; return 3; }
        setup "$stack" "$python"
    elif [ setup.py -nt ".venv/$stack/complete" ]; then
        install_package ".venv/$stack" ".venv/$stack.log"
        touch ".venv/$stack/complete"
    fi
    # fl_simu prints commands for the user's own shell, so it must know the PATH of that shell.
    FL_SIMU_SHELL_PATH=${FL_SIMU_SHELL_PATH:-$PATH} VIRTUAL_ENV=$root/.venv/$stack \
        PATH=$root/.venv/$stack/bin:$PATH "$@"
}

each_stack() {
    local stack status=0
    available legacy || available modern || { missing any; return 3; }
    for stack in legacy modern; do
        available "$stack" || { missing "$stack" skipped; continue; }
        # In a separate process, because a function that is called in a condition continues after a failed step.
        scripts/stack.sh with "$stack" "$@" || { say "$stack stack: failed"; status=1; }
    done
    return $status
}

# Creates .venv/peers, unless it exists. A package that cannot be installed is reported, and tried again next time.
peers() {
    local venv=.venv/peers log=.venv/peers.log python stamp requirement whole=1
    stamp="$(cat benchmarks/peers/*.txt | cksum) $root"
    if [ "$(cat "$venv/complete" 2>/dev/null)" = "$stamp" ] && "$venv/bin/python" -c '' 2>/dev/null; then return; fi
    python=$(find_python modern) || { missing modern; return 3; }
    say "setting the other frameworks up in $venv with $python (some minutes)"
    mkdir -p .venv
    rm -rf "$venv" "$log"
    quietly "$log" "$python" -m venv "$venv"
    set -- "$venv/bin/python" -m pip install --disable-pip-version-check
    if ! quietly "$log" "$@" -r benchmarks/peers/requirements.txt; then
        whole=0
        while read -r requirement; do
            quietly "$log" "$@" "$requirement" || say "not installed: $requirement"
        done < <(grep -v '^#' benchmarks/peers/requirements.txt)
    fi
    quietly "$log" "$@" --no-deps -r benchmarks/peers/without-dependencies.txt || whole=0
    [ $whole = 0 ] || printf '%s\n' "$stamp" >"$venv/complete"
}

# Creates .venv/docs from its lock, unless it exists, and runs a command in it.
docs() {
    local venv=.venv/docs log=.venv/docs.log python
    if ! ready docs; then
        python=$(find_python modern) || { missing modern; return 3; }
        say "setting up what builds the site in $venv with $python"
        mkdir -p .venv
        rm -rf "$venv" "$log"
        quietly "$log" "$python" -m venv "$venv"
        quietly "$log" "$venv/bin/python" -m pip install --disable-pip-version-check -r requirements/docs.txt
        stamp_of docs >"$venv/complete"
    fi
    PATH=$root/$venv/bin:$PATH "$@"
}

# Resolves each lock for its stack's lowest Python; the modern lock is also valid for later Pythons and other systems.
lock() {
    local python tools=.venv/lock log=.venv/lock.log stack options
    python=$(find_python modern) || { missing modern; return 3; }
    mkdir -p .venv
    rm -rf "$tools" "$log"
    quietly "$log" "$python" -m venv "$tools"
    quietly "$log" "$tools/bin/python" -m pip install --disable-pip-version-check uv
    for stack in legacy modern; do
        case $stack in
            legacy) options="--python-version 3.7.1 --python-platform x86_64-manylinux_2_28" ;;
            modern) options="--python-version 3.10 --universal" ;;
        esac
        say "resolving requirements/$stack.txt"
        # shellcheck disable=SC2086
        quietly "$log" "$tools/bin/uv" pip compile setup.py "requirements/$stack.in" \
            --extra attacks --extra pandas --extra privacy --extra ray --extra websockets $options \
            --upgrade --custom-compile-command "make lock" --output-file "$tools/$stack.txt"
        # torch itself requires the CUDA packages of its release; a CPU build of the same release needs none.
        awk '/^[a-z]/ { cuda = /^(nvidia|cuda|triton)/ } !cuda' "$tools/$stack.txt" >"$tools/lock.txt"
        mv "$tools/lock.txt" "requirements/$stack.txt"
    done
    say "resolving requirements/docs.txt"
    quietly "$log" "$tools/bin/uv" pip compile requirements/docs.in --python-version 3.10 --universal \
        --upgrade --custom-compile-command "make lock" --output-file requirements/docs.txt
    rm -rf "$tools" "$log"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    setup) each_stack true ;;
    with) with_stack "$@" ;;
    each) each_stack "$@" ;;
    peers) peers ;;
    docs) docs "$@" ;;
    lock) lock ;;
    *) sed -n '2,10s/^# \{0,1\}//p' scripts/stack.sh >&2; exit 2 ;;
esac
