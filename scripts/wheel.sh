#!/usr/bin/env bash
# Builds the source distribution and, of it, the wheel into dist/; then tries the wheel in an environment of its own
# and an empty folder, as somebody who has no checkout. `make wheel` runs it on the modern stack.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rm -rf dist build
python -m build --no-isolation --outdir dist .

away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
python -m venv --without-pip "$away/env"
pip() { python -m pip --disable-pip-version-check --python "$away/env/bin/python" "$@"; }
pip install --quiet --no-index --no-deps dist/*.whl
# What it needs is taken from this stack, without a second download of torch; pip looks whether it suffices. The
# fl_simu of this stack is no folder there, and so does not come along.
packages() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
packages python >"$(packages "$away/env/bin/python")/stack.pth"
pip check
mkdir "$away/empty"
cd "$away/empty"
unset PYTHONPATH
PATH=$away/env/bin:$PATH
python -c 'import fl_simu; print(fl_simu.__file__)' | grep -qF "$away"
fl_simu list experiments
cat >small.toml <<'END'
backend = "torch"
data = "digits"
model = "mlp"
rounds = 2
END
fl_simu run small.toml --out run
fl_simu export run --csv --latex
fl_simu reproduce pointer_basics
