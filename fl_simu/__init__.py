"""Federated learning over a simulated radio uplink, on PySyft 0.2.4 and on plain torch.

User equipments train on their own data and send their models, quantised, over links whose rate varies; a base
station takes what arrives in time and averages it. Start with `python -m fl_simu`; the way from a config to
objects is `fl_simu.assemble`, the loop is `fl_simu.coordinator`. Importing this package imports nothing else.
"""

__version__ = "0.1.0"
