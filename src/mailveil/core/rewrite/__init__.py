"""Replacements in a message's sources become edits on its raw bytes; everything else stays as it was."""

from mailveil.core.message.edits import splice
from mailveil.core.rewrite.embedding import EmbeddedCopy, embed_copies
from mailveil.core.rewrite.parts import inert_part_edits, unsign_edits
from mailveil.core.rewrite.replacement import Replacement
from mailveil.core.rewrite.rewriting import rewrite

__all__ = [
    "EmbeddedCopy",
    "Replacement",
    "embed_copies",
    "inert_part_edits",
    "rewrite",
    "splice",
    "unsign_edits",
]
