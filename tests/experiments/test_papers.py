"""Each reproduced paper: its claims are well formed, tested over seeds, and listed in its README."""

import pytest

from fl_simu.loop.plan import plan
from fl_simu.studies import catalogue, grid

PAPERS = catalogue.groups()["papers"]
STUDIES = [name for name in PAPERS if name in catalogue.studies()]


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_states_claims_and_tests_them_over_seeds(name, quick):
    study = grid.read_study(catalogue.folders()[name], quick)
    assert len(study.seeds) >= 3, "an interval needs a spread"
    assert study.claims
    for experiment in {one.with_(seed=1): one for one in study.experiments.values()}:
        plan(experiment).backend.close()


@pytest.mark.parametrize("name", PAPERS)
def test_a_readme_tells_how_to_run_it_and_the_page_of_all_papers_leads_there(name):
    readme = (catalogue.folders()[name] / "README.md").read_text(encoding="utf-8")
    assert f"python -m fl_simu reproduce {name}" in readme
    papers = (catalogue.FOLDER / "papers" / "README.md").read_text(encoding="utf-8")
    assert f"({name}/README.md)" in papers
