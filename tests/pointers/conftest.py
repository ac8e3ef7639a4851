"""One suite for both stacks: `sy` is real PySyft 0.2.4 where it is installed, fl_simu.pointers elsewhere."""

import gc
import logging
import warnings

import pytest
import torch

from fl_simu.kernel.installation import syft_installed


def import_syft():
    if not syft_installed():
        import fl_simu.pointers as sy

        return sy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("tf_encrypted").setLevel(logging.ERROR)
        import syft as sy
    return sy


@pytest.fixture(scope="session")
def sy():
    module = import_syft()
    # The cases collect cycles often; what is here by now is no part of any.
    gc.freeze()
    return module


@pytest.fixture(scope="session")
def hook(sy):
    return sy.TorchHook(torch)


def fresh(sy, hook, name):
    worker = sy.VirtualWorker(hook, id=name)
    worker.clear_objects()
    worker._tag_to_object_ids.clear()
    return worker


@pytest.fixture
def bob(sy, hook):
    return fresh(sy, hook, "bob")


@pytest.fixture
def alice(sy, hook):
    return fresh(sy, hook, "alice")


@pytest.fixture(autouse=True)
def no_memory_of_other_calls(sy):
    """0.2.4 keeps the arguments that a function had at its first call, and drops those that a later call adds."""
    if syft_installed():
        from syft.generic.frameworks.hook import hook_args

        for name in ("method_args", "method_response", "args"):
            getattr(hook_args, f"hook_{name}_functions", {}).clear()
        hook_args.get_tensor_type_functions.clear()
        hook_args.register_response_functions.clear()
