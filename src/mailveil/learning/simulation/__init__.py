"""Simulation: months of an organisation's mail as it would be on record, with the truth (docs/simulation.md). Pure."""

from mailveil.learning.simulation.generating import Rates, Simulation
from mailveil.learning.simulation.types import BEGIN_AT, Cause, Grade, Simulated, SimulationSettings, Truth

__all__ = ["BEGIN_AT", "Cause", "Grade", "Rates", "Simulated", "Simulation", "SimulationSettings", "Truth"]
