"""Stages: what the gateway does with one message, stage by stage; each knows ports only, none knows the next."""

from mailveil.stages.embedding import Embedding
from mailveil.stages.examination import Examination, UnexaminedError
from mailveil.stages.observation import Recording, Records

__all__ = ["Embedding", "Examination", "Recording", "Records", "UnexaminedError"]
