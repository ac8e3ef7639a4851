"""Peak memory, with each run in a separate process and with default malloc settings."""

from pathlib import Path

import pytest
from children import answer_of_script

from fl_simu.kernel.installation import syft_installed

MALLOC_AS_IT_COMES = {"MALLOC_MMAP_THRESHOLD_": None, "MALLOC_TRIM_THRESHOLD_": None}
DEFAULT = Path(__file__).resolve().parents[1] / "fl_simu" / "cli" / "defaults" / "mnist.toml"


@pytest.mark.parametrize("backend", ["torch", "syft"])
def test_default_run(backend, report, tmp_path):
    if backend == "syft" and not syft_installed():
        pytest.skip("syft 0.2.4 is on the legacy stack only")
    arguments = ["--backend", backend, "--rounds", "2", "--out", str(tmp_path / "out")]
    try:
        figures = answer_of_script(
            "peak_memory.py", "-m", "fl_simu", "run", str(DEFAULT), *arguments, **MALLOC_AS_IT_COMES
        )
    except RuntimeError as error:
        pytest.skip(f"the default run does not run here: {error}")
    report.add(f"peak memory of the default run, 2 rounds, {backend}", f"{figures['peak_mb']:.0f} MB", **figures)


def test_a_thousand_ues(report):
    few = answer_of_script("many_ues.py", "--ues", "16", "--drawn", "16", **MALLOC_AS_IT_COMES)
    report.add("peak memory, 16 UEs, all drawn, torch", f"{few['peak_mb']:.0f} MB", **few)
    for drawn in (16, 1000):
        many = answer_of_script("many_ues.py", "--ues", "1000", "--drawn", str(drawn), **MALLOC_AS_IT_COMES)
        allowed = few["peak_mb"] + many["data_mb"]
        report.add(
            f"peak memory, 1000 UEs, {drawn} drawn, torch",
            f"{many['peak_mb']:.0f} MB, {many['peak_mb'] / allowed:.2f} times that of 16 UEs and the data",
            f"<= 1.3 times, {1.3 * allowed:.0f} MB",
            **many,
        )
