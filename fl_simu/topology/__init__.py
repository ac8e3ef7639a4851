"""Topologies: the base stations, and the UEs that belong to each."""

from typing import Dict, Type

from fl_simu.topology.base import Flat, Topology
from fl_simu.topology.edges import Edges

TOPOLOGIES: Dict[str, Type[Topology]] = {"flat": Flat, "edges": Edges}
