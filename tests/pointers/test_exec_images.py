"""torchvision as `exec` gives it: torchvision 0.5 itself is the oracle, on the legacy stack."""

import pickle
import random
import zlib

import numpy as np
import pytest
import torch

from fl_simu.kernel.installation import MODERN
from fl_simu.old_scripts import image_augmentation, image_folders, image_grids, image_sets, image_transforms

if not MODERN:
    import torchvision.datasets
    import torchvision.transforms
    import torchvision.utils
    from torchvision.datasets import cifar

Image = pytest.importorskip("PIL.Image")

# For each transform, torchvision 0.5's checksums of three grey and three colour images. torchvision 0.5 cannot
# rotate grey images.
TRANSFORMS = {
    "Resize(32)": (92301232, 1798816236),
    "Resize((14, 20))": (2672563374, 3519309538),
    "Resize(10, 3)": (1548498909, 2945355731),
    "Resize(28)": (4090113641, 483637322),
    "CenterCrop(20)": (667449816, 2910535413),
    "CenterCrop((11, 40))": (2066434299, 524868021),
    "Pad(3)": (1565125972, 1218517209),
    "Pad((1, 2, 3, 4), 7)": (3651217306, 3994585762),
    "Pad(2, padding_mode='symmetric')": (2537483589, 2028419717),
    "RandomCrop(28, padding=4)": (3751090782, 3103380458),
    "RandomCrop((30, 20), padding=(1, 2), padding_mode='reflect')": (3962645532, 2717105441),
    "RandomCrop(64, pad_if_needed=True)": (3701439767, 3534793779),
    "RandomHorizontalFlip()": (2476453921, 4116910298),
    "RandomVerticalFlip(0.3)": (2475017352, 1098204809),
    "Grayscale()": (4090113641, 4154024102),
    "Grayscale(3)": (3487955174, 2037241896),
    "ToTensor()": (140365521, 3890184895),
    "Compose([RandomCrop(20), ToTensor(), Normalize((0.5,), (0.3,))])": (1168958250, 3149728551),
    "Compose([ToTensor(), Lambda(lambda x: x * x), ToPILImage()])": (2298223948, 3789394369),
    "RandomRotation(10)": (None, 2729116075),
    "RandomRotation((-20, 30), expand=True)": (None, 4009907234),
    "RandomRotation(45, 2, center=(3, 5), fill=9)": (None, 2915669054),
    "RandomAffine(15)": (3816862448, 389905203),
    "RandomAffine((5, 10), (0.1, 0.2), (0.8, 1.1), 5, 3, 7)": (4197180017, 183026681),
    "RandomAffine(0, shear=(-5, 8))": (1052480265, 3061227259),
    "RandomAffine(0, shear=(-5, 8, 2, 9), resample=2)": (319806251, 1618750120),
    "RandomResizedCrop((12, 14), (0.5, 0.9), (2, 9), 3)": (2327208941, 3820659913),
    "RandomResizedCrop(8, (1.0, 1.0), (3, 4))": (3442795581, 108835568),
    "ColorJitter(0.4, 0.4, 0.4, 0.1)": (1883634025, 3530690379),
    "ColorJitter(hue=(-0.3, 0.5))": (4090113641, 444095539),
    "ColorJitter(brightness=(0, 3), contrast=2)": (2418141676, 1455080247),
    "ColorJitter(saturation=1.5)": (4090113641, 864230159),
    "RandomApply([RandomHorizontalFlip(1), Pad(1)], 0.6)": (2783340128, 1101748692),
    "RandomChoice([CenterCrop(9), Pad(2), RandomRotation(90)])": (None, 3201972592),
    "RandomOrder([Pad(1), CenterCrop(20), Resize(10)])": (3756854858, 1509477643),
    "RandomGrayscale(0.5)": (4090113641, 2491237223),
}


def checksum_of(transform, image):
    found = 0
    for seed in range(3, 6):
        # Seed again for each: if syft 0.2.4 hooks this process, it draws ids from this generator.
        random.seed(seed)
        found = zlib.crc32(np.ascontiguousarray(transform(image)).tobytes(), found)
    return found


@pytest.mark.parametrize("expression", TRANSFORMS)
def test_transforms(expression):
    draws = np.random.RandomState(0)
    images = [Image.fromarray(draws.randint(0, 256, size).astype(np.uint8)) for size in ((28, 28), (32, 48, 3))]
    kinds = dict(image_transforms.TRANSFORMS, **image_augmentation.AUGMENTATIONS)
    named = [kinds] if MODERN else [kinds, {name: getattr(torchvision.transforms, name) for name in kinds}]
    transforms = [eval(expression, dict(names)) for names in named]
    for image, checksum in zip(images, TRANSFORMS[expression]):
        for transform in transforms:
            if checksum is not None:
                assert checksum_of(transform, image) == checksum
    assert len({repr(transform) for transform in transforms}) == 1


def test_grey_images_are_rotated():
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (6, 6)).astype(np.uint8))
    turned = image_augmentation.RandomRotation((90, 90), fill=3)(image)
    assert (np.array(turned) == np.rot90(np.array(image))).all()


@pytest.mark.parametrize(
    ("arguments", "checksum"),
    [
        ({"p": 0.7}, 2552312921),
        ({"p": 1, "value": (1, 2, 3), "scale": (0.1, 0.2), "ratio": (1, 2)}, 860627202),
        ({"p": 1, "value": "random"}, 4237989437),
    ],
)
def test_erasing(arguments, checksum):
    """The checksums are torchvision 0.5's."""
    kinds = [image_augmentation] if MODERN else [image_augmentation, torchvision.transforms]
    for kind in kinds:
        found = 0
        for seed in range(3, 6):
            image = torch.arange(216.0).view(3, 9, 8)
            # This comes last: if syft 0.2.4 hooks this process, a new tensor draws an id from this generator.
            random.seed(seed)
            torch.manual_seed(seed)
            erased = kind.RandomErasing(**arguments)(image)
            found = zlib.crc32(erased.numpy().tobytes(), found)
        assert found == checksum


@pytest.mark.parametrize(
    ("rows", "arguments", "shape", "checksum"),
    [
        (slice(5), {}, (3, 8, 42), 3312426030),
        (slice(5), {"nrow": 2, "padding": 1, "pad_value": 0.5}, (3, 16, 15), 1458812417),
        (slice(5), {"normalize": True}, (3, 8, 42), 1834635077),
        (slice(5), {"normalize": True, "scale_each": True, "nrow": 3}, (3, 14, 26), 3493081108),
        (slice(5), {"normalize": True, "range": (0, 0.6)}, (3, 8, 42), 2732780666),
        ((slice(5), slice(1)), {}, (3, 8, 42), 978651185),
        (0, {}, (3, 4, 6), 1731390529),
        ((0, 0), {}, (3, 4, 6), 1625669915),
        (slice(1), {}, (3, 4, 6), 1731390529),
    ],
)
def test_grids(rows, arguments, shape, checksum):
    """The checksums are torchvision 0.5's."""
    images = (torch.arange(360.0).view(5, 3, 4, 6) * 7 % 11 / 10 - 0.2)[rows]
    for module in [image_grids] if MODERN else [image_grids, torchvision.utils]:
        grid = module.make_grid(images.clone(), **arguments)
        assert tuple(grid.shape) == shape and zlib.crc32(grid.contiguous().numpy().tobytes()) == checksum


def test_a_grid_in_a_file(tmp_path):
    images, file = list(torch.arange(360.0).view(5, 3, 4, 6) * 7 % 11 / 10 - 0.2), str(tmp_path / "grid.png")
    for module in [image_grids] if MODERN else [image_grids, torchvision.utils]:
        module.save_image(images, file, nrow=2)
        assert zlib.crc32(np.array(Image.open(file)).tobytes()) == 962962995


def test_what_belongs_elsewhere():
    with pytest.raises(TypeError, match="Resize takes a PIL image, not a torch"):
        image_transforms.Resize(3)(torch.zeros(1, 4, 4))
    with pytest.raises(TypeError, match="Normalize takes a tensor; it belongs after ToTensor"):
        image_transforms.Normalize((0,), (1,))(Image.new("L", (4, 4)))


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    """A folder in torchvision's layout, with seven images per batch."""
    root = tmp_path_factory.mktemp("root")
    folder, draws = root / "cifar-10-batches-py", np.random.RandomState(0)
    folder.mkdir()
    for name in [f"data_batch_{at}" for at in range(1, 6)] + ["test_batch"]:
        pixels, labels = draws.randint(0, 256, (7, 3072)).astype(np.uint8), draws.randint(0, 10, 7).tolist()
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": image_sets.TEN.split("|")}, 2))
    return root


@pytest.mark.parametrize("train", [True, False])
def test_cifar10(train, cifar10, monkeypatch):
    said = []
    ours = image_sets.classes(None, 20, said.append)["CIFAR10"](str(cifar10), train, download=True)
    assert said[0].startswith(f"torchvision.datasets.CIFAR10: folder {cifar10} (a part of cifar10: 35 + 7 images)")
    assert said[1:] == ["torchvision.datasets.CIFAR10: the first 20 of 35 training images, by --limit"] * train
    pixels = np.random.RandomState(0).randint(0, 256, (7, 3072)).astype(np.uint8)  # of the first batch
    if train:
        assert (np.array(ours[1][0]) == pixels[1].reshape(3, 32, 32).transpose(1, 2, 0)).all()
    assert len(ours) == (20 if train else 7) and ours.class_to_idx["truck"] == 9
    if not MODERN:
        monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)
        theirs = cifar.CIFAR10(str(cifar10), train)
        assert (ours.data == theirs.data[:20]).all() and ours.targets == theirs.targets[:20]
        assert ours.classes == theirs.classes and type(ours[3][0]) is type(theirs[3][0])
        assert repr(ours).splitlines()[2:] == repr(theirs).splitlines()[2:]


def test_a_folder_of_images(tmp_path):
    draws = np.random.RandomState(0)
    for name in ("b/2.png", "b/10.PNG", "b/deep/1.jpg", "a/x.bmp", "a/x.txt", "c/none.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            size = (4, 5) if name.startswith("a") else (4, 5, 3)
            Image.fromarray(draws.randint(0, 256, size).astype(np.uint8)).save(str(path))
    steps = image_transforms.TRANSFORMS["ToTensor"]()
    ours = image_folders.ImageFolder(str(tmp_path), steps, target_transform=abs)
    assert ours.classes == ["a", "b", "c"] and ours.class_to_idx == {"a": 0, "b": 1, "c": 2}
    names = [path[len(str(tmp_path)) + 1 :].replace("\\", "/") for path, _ in ours.samples]
    assert names == ["a/x.bmp", "b/10.PNG", "b/2.png", "b/deep/1.jpg"] and ours.targets == [0, 1, 1, 1]
    image, target = ours[0]
    grey = np.array(Image.open(str(tmp_path / "a" / "x.bmp")), np.float32) / 255
    assert target == 0.0 and np.allclose(image.numpy(), np.stack([grey] * 3))
    if not MODERN:
        theirs = torchvision.datasets.ImageFolder(str(tmp_path), steps, target_transform=abs)
        assert ours.samples == theirs.imgs == ours.imgs and ours.classes == theirs.classes
        assert repr(ours) == repr(theirs)
        assert all(torch.equal(one[0], other[0]) and one[1] == other[1] for one, other in zip(ours, theirs))
    with pytest.raises(RuntimeError, match="no images in the folders"):
        image_folders.ImageFolder(str(tmp_path / "a"))


def test_the_scripts_folder_comes_first(run, mnist, tmp_path):
    """Then the folder of the command line, also if the script's folder exists and is empty."""
    script = (
        "from torchvision.datasets import MNIST\nprint(MNIST(%r, train=False, download=True).targets[:8].tolist())"
    )
    (tmp_path / "data").mkdir()
    there = run(script % "data", options=("--data-dir", mnist))
    assert there.returncode == 0, there.stderr
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (mnist / "mnist").iterdir():
        (raw / file.name).symlink_to(file)
    labels = (raw / "t10k-labels-idx1-ubyte").read_bytes()
    (raw / "t10k-labels-idx1-ubyte").unlink()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(labels[:8] + bytes([9] * 8) + labels[16:])
    here = run(script % "data", options=("--data-dir", mnist))
    assert here.stdout == "[9, 9, 9, 9, 9, 9, 9, 9]\n" != there.stdout
    assert here.stderr == f"fl_simu: torchvision.datasets.MNIST: folder {'data/MNIST/raw'}\n"


@pytest.mark.skipif(not MODERN, reason="torchvision itself is here")
def test_what_needs_torchvision_itself(run):
    done = run("from torchvision.models import resnet18\nprint(1)\nresnet18(pretrained=True)")
    assert done.stdout == "1\n"
    minor = int(torch.__version__.split(".")[1])
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "NotImplementedError: torchvision.models.resnet18 needs torchvision itself, in the build"
    )
    assert f"torchvision==0.{minor + 15}.*" in last and "https://download.pytorch.org/whl/" in last


BROKEN = """
import sys
from fl_simu.old_scripts import torchvision_parts
for name in [name for name in sys.modules if name.startswith("torchvision")]:
    del sys.modules[name]
torchvision_parts.give(None, None, print)
import torchvision.transforms
print(torchvision.transforms.ToTensor())
"""


@pytest.mark.skipif(not MODERN, reason="torchvision itself is here")
def test_a_torchvision_that_does_not_load(run, tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    assert run(BROKEN).stdout.splitlines() == [
        "the torchvision that is installed does not load (operator nms does not exist); exec has its main parts",
        "ToTensor()",
    ]
