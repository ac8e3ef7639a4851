"""Models: one class per model, one row here.

A model is a frozen description; `build` creates the module. All are classifiers of images of shape (C, H, W). A
text is an image of 1 x 1 x its length, of whole numbers in float32, which the module converts to integers.
"""

from typing import Dict, Type

from fl_simu.models.base import Model
from fl_simu.models.leaf import LeafCnn, LeafLstm
from fl_simu.models.notes import DlgLeNet, LeNet, MnistCnn
from fl_simu.models.papers import LensA, LensB, LensC, LensD, LensE, LensF, LensG, PflCnn
from fl_simu.models.plain import LogisticRegression, Mlp, RowLstm

MODELS: Dict[str, Type[Model]] = {
    "mnist_cnn": MnistCnn,
    "lenet": LeNet,
    "pfl_cnn": PflCnn,
    "dlg_lenet": DlgLeNet,
    "logistic_regression": LogisticRegression,
    "mlp": Mlp,
    "row_lstm": RowLstm,
    "leaf_cnn": LeafCnn,
    "leaf_lstm": LeafLstm,
    "lens_a": LensA,
    "lens_b": LensB,
    "lens_c": LensC,
    "lens_d": LensD,
    "lens_e": LensE,
    "lens_f": LensF,
    "lens_g": LensG,
}
