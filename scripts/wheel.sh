#!/usr/bin/env bash
# Builds the source distribution, and from it the wheel, into dist/. Then tests the wheel in a separate environment and
# an empty folder, like a user without a checkout. `make wheel` runs this script on the modern stack.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rm -rf dist build
python -m build --no-isolation --outdir dist .

away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
python -m venv --without-pip "$away/env"
pip() { python -m pip --disable-pip-version-check --python "$away/env/bin/python" "$@"; }
pip install --quiet --no-index --no-deps dist/*.whl
# The packages that it needs come from this stack, which saves a second download of torch; pip checks that they are
# complete. This stack's own fl_simu is not a folder there, and so is not included.
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
