"""Malicious UEs: what they send instead of what they trained. One class per attack, one row here."""

from typing import Dict, Type

from fl_simu.attacks.poisoning.base import Attack, NoAttack
from fl_simu.attacks.poisoning.targeted import AlternatingMinimisation, Boosting, Concatenated, DataPoisoning
from fl_simu.attacks.poisoning.untargeted import (
    GaussianNoise,
    InnerProduct,
    LabelFlip,
    LittleIsEnough,
    SignFlip,
)

ATTACKS: Dict[str, Type[Attack]] = {
    "none": NoAttack,
    "boosting": Boosting,
    "alternating_minimisation": AlternatingMinimisation,
    "concatenated": Concatenated,
    "data_poisoning": DataPoisoning,
    "sign_flip": SignFlip,
    "gaussian_noise": GaussianNoise,
    "little_is_enough": LittleIsEnough,
    "inner_product": InnerProduct,
    "label_flip": LabelFlip,
}
