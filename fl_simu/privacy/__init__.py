"""Client-level differential privacy: clipping, noise, and the resulting (epsilon, delta)."""

from typing import Dict, Type

from fl_simu.privacy.adaptive_clipping import AdaptiveClipping
from fl_simu.privacy.base import Mechanism, NoPrivacy
from fl_simu.privacy.gaussian import Gaussian

MECHANISMS: Dict[str, Type[Mechanism]] = {
    "none": NoPrivacy,
    "gaussian": Gaussian,
    "adaptive_clipping": AdaptiveClipping,
}
