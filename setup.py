"""Packaging: one package, whose Python version decides which of the two stacks it gets."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
LEGACY = 'python_version < "3.8"'
MODERN = 'python_version >= "3.10"'

setup(
    name="fl_simu",
    version=re.search('^__version__ = "(.+)"$', (HERE / "fl_simu" / "__init__.py").read_text(), re.M).group(1),
    description="Federated learning over a simulated radio uplink, on PySyft 0.2.4 and on plain PyTorch",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The fl_simu maintainers",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: {version}" for version in ("3.7", "3.10", "3.11", "3.12", "3.13")),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    packages=[*find_packages(include=["fl_simu", "fl_simu.*"]), "fl_simu.experiments"],
    # What `reproduce` runs travels with the package; its texts and figures stay with the source.
    package_dir={"fl_simu.experiments": "experiments"},
    package_data={
        "fl_simu": ["py.typed", "*.toml", "**/*.toml", "results/page/*"],
        "fl_simu.experiments": [f"{depth}/*.{kind}" for depth in ("*", "*/*") for kind in ("toml", "py", "csv")],
    },
    python_requires=">=3.7, !=3.8.*, !=3.9.*",
    install_requires=[
        "syft==0.2.4; " + LEGACY,
        "torch==1.4.0; " + LEGACY,
        "torchvision==0.5.0; " + LEGACY,
        # syft 0.2.4 asks for neither bound, and does not import without both.
        "protobuf<3.21; " + LEGACY,
        "MarkupSafe<=2.0.1; " + LEGACY,
        "torch>=2.5; " + MODERN,
        "numpy",
        # With click 8 a resolver falls back to Flask 1.1.2, which today's Jinja2 breaks, and syft with it.
        "click>=7.1,<8; " + LEGACY,
        "click>=7.1; " + MODERN,
        "pydantic>=2.5,<3",
        'tomli>=2; python_version < "3.11"',
        "importlib_metadata>=4.6; " + LEGACY,
        "tomli-w",
        "tqdm",
        "pooch>=1.8",
        "requests",
        "psutil>=5",
        "matplotlib>=3.5",
        "plotly>=5.18",
        # Releases since 0.5 have no wheel that runs on Python 3.7.
        "safetensors>=0.4,<0.5; " + LEGACY,
        "safetensors>=0.4; " + MODERN,
        "scikit-learn>=1",
        "typing_extensions",
    ],
    extras_require={
        "pandas": ["pandas>=1.3"],
        "attacks": ["scikit-image>=0.19", "scipy"],
        # PySyft 0.2.4 brings its own, 8.1.
        "websockets": ["websockets>=15; " + MODERN],
        # What it has for Python 3.7 needs a newer scipy than syft 0.2.4 does.
        "privacy": ["dp-accounting>=0.6,<0.7; " + MODERN],
        # 2.7 is the last that runs on Python 3.7.
        "tensorboard": ["tensorboard>=2.10"],
        "wandb": ["wandb>=0.15"],
        # The small package logs to servers and, before MLflow 3, to files; the whole one to a database of its own.
        "mlflow": ["mlflow-skinny>=1.30; " + LEGACY, "mlflow>=2.10; " + MODERN],
        "ray": ["ray>=2.7,<2.8; " + LEGACY, "ray>=2.7; " + MODERN],
    },
    entry_points={"console_scripts": ["fl_simu = fl_simu.__main__:main"]},
)
