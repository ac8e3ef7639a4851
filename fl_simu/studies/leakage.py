"""Many gradient-leakage attacks on uploads in parallel processes; each trial is keyed by (image, seed)."""

import io
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch

from fl_simu.attacks.leakage.attempts import Attempt, attack, draw
from fl_simu.attacks.leakage.image_measures import found_labels, likeness, scikit_image_ssim
from fl_simu.attacks.leakage.observation import observe
from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.machine import prepare
from fl_simu.kernel.randomness import stream, torch_seed
from fl_simu.results.files import make_folder, read_json, told_in_one_line, write_atomically, write_json
from fl_simu.studies.leakage_setting import Setting
from fl_simu.studies.pool import MOST_JOBS, run_all
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One attack: the image or batch of images, counted from 0, and the seed of the weights and the start."""

    image: int
    seed: int

    @property
    def label(self) -> str:
        """Its name in the output."""
        return f"image {self.image}, seed {self.seed}"


@dataclass(frozen=True)
class Trials:
    """The folder of trials of one setting: `setting.json`, and a JSON and an NPZ file for each trial that ended.

    Args:
        path: the folder.
        setting: the setting of all trials.
    """

    path: Path
    setting: Setting

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            UserError: it holds trials of another setting, or cannot be made.
        """
        file, wanted = self.path / "setting.json", self.setting.plain()
        if file.exists():
            stored = _read_json(file)
            other = [name for name in wanted if stored.get(name) != wanted[name]]
            if other:
                raise UserError(f"{self.path} holds trials of another setting: {', '.join(other)} differ")
        make_folder(self.path / "trials")
        write_json(file, wanted)

    def file(self, trial: Trial, kind: str = "json") -> Path:
        """The path of a trial's file."""
        return self.path / "trials" / f"image-{trial.image:04d}-seed-{trial.seed}.{kind}"

    def record(self, trial: Trial) -> Dict[str, Any]:
        """The record of a trial that ended; see docs/attacks.md."""
        return _read_json(self.file(trial))

    def pictures(self, trial: Trial) -> Tuple[np.ndarray, Dict[int, np.ndarray]]:
        """The true images, with pixels in 0..1, and iteration -> reconstructed images, each (B, C, H, W)."""
        path = self.file(trial, "npz")
        with told_in_one_line(path, "read"), np.load(str(path)) as arrays:
            return arrays["truth"], dict(zip(arrays["iterations"].tolist(), arrays["images"]))


def _read_json(path: Path) -> Dict[str, Any]:
    try:
        return read_json(path)
    except ValueError:
        raise UserError(f"{path} is damaged: remove it, and it is made again") from None


def run_trials(
    trials: Trials, wanted: Sequence[Trial], jobs: int, data_dir: Optional[Path], say: Say
) -> List[Dict[str, Any]]:
    """Run the requested trials that have not ended yet; return the records of all requested trials.

    Args:
        trials: their folder.
        wanted: the requested trials, at least one.
        jobs: processes at a time, one thread each.
        data_dir: as for a run.
        say: prints a line for each trial that ends.

    Raises:
        UserError: the data set has too few images, is missing, or a file cannot be written.
    """
    require(1 <= jobs <= MOST_JOBS, "--jobs", jobs, f"at least 1, at most {MOST_JOBS}")
    # Report a missing package now, not after the first trial.
    scikit_image_ssim()
    images, labels = pixels(trials.setting, max(trial.image for trial in wanted) + 1, data_dir)
    trials.prepare()
    todo = [trial for trial in wanted if not trials.file(trial).exists()]
    say(f"{len(wanted)} trials, {len(todo)} of them to run, in {trials.path}")
    run_all(todo, jobs, Attacker(trials, images, labels), say, trials.path)
    return [trials.record(trial) for trial in wanted]


def pixels(setting: Setting, batches: int, data_dir: Optional[Path]) -> Tuple[np.ndarray, np.ndarray]:
    """The training images of the first batches of the setting's data, (N, C, H, W) in 0..1, and their labels."""
    part, rows = setting.parts["data"], batches * setting.batch_size
    held = part.train_samples or part.sizes[0]
    require(rows <= held, "--images", batches, f"{setting.data['name']} has {held} images to train on")
    train = replace(part, train_samples=rows, test_samples=1, scale="unit").load(data_dir).train
    return train.images.numpy(), train.labels.numpy()


@dataclass(frozen=True, eq=False)
class Attacker:
    """Runs trials in a worker process.

    Args:
        trials: the folder for the results.
        images, labels: as returned by `pixels`.
    """

    trials: Trials
    images: np.ndarray
    labels: np.ndarray

    def __call__(self, trial: Trial) -> str:
        prepare(threads=1)
        began = time.process_time()
        record, attempt, truth = self.attempt(trial)
        record["processor_s"] = round(time.process_time() - began, 2)
        buffer, kept = io.BytesIO(), attempt.kept
        images = np.stack([one.numpy() for one in kept.values()])
        np.savez_compressed(buffer, truth=truth.numpy(), iterations=np.array(list(kept)), images=images)
        # Write the record last: it marks the trial as ended.
        write_atomically(self.trials.file(trial, "npz"), buffer.getvalue())
        write_json(self.trials.file(trial), record)
        word = "success" if record["success"] else "failure"
        return "{}: {}, MSE {:.3g} after {} iterations ({}), {:.0f} s".format(
            trial.label, word, record["mse"], record["iterations"], record["ended"], record["processor_s"]
        )

    def attempt(self, trial: Trial) -> Tuple[Dict[str, Any], Attempt, torch.Tensor]:
        """The record, the attempt, and the true images."""
        setting, size = self.trials.setting, self.trials.setting.batch_size
        rows = slice(trial.image * size, (trial.image + 1) * size)
        truth, labels = torch.from_numpy(self.images[rows]), torch.from_numpy(self.labels[rows])
        model, shape, classes = setting.parts["model"], setting.parts["data"].shape, setting.parts["data"].classes
        seed = trial.seed if setting.manual else torch_seed(trial.seed, "leakage", trial.image)
        method = setting.parts["method"]
        make = partial(model.build, shape, classes)
        module, starts = draw(make, seed, method.restarts, tuple(truth.shape), classes)
        training = LocalTraining(make, model.loss, Sgd(lr=setting.lr), setting.local_steps, size)
        codec, draws = setting.parts["codec"], stream(trial.seed, "leakage codec", trial.image)
        chain, key = setting.parts["chain"], Key(trial.seed, trial.image, 0)
        seen = observe(training, module, truth, labels, classes, codec, setting.layers, draws, chain, key)
        attempt = attack(seen, method, starts, truth)
        last = attempt.last
        record = {
            "image": trial.image,
            "seed": trial.seed,
            "success": attempt.success,
            "ended": attempt.ended,
            "iterations": len(attempt.losses) - 1,
            **likeness(truth, last.images)._asdict(),
            "labels": labels.tolist(),
            "labels_found": found_labels(truth, labels, last.images, last.targets),
            "gradient_distance": seen.squared_distance(last.images, last.targets).item(),
            "losses": list(attempt.losses),
            "mses": list(attempt.mses),
        }
        return record, attempt, truth
