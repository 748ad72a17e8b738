"""Sounds: decoded, cut to a length and encoded afresh; what cannot be decoded becomes as long a silence.

A sound that is there to measure how long a message stays open tends to be silent: whether anything can be
heard is told from the samples, for the judge.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import soundfile

from mailveil.core.safecopy.films import film_duration_s
from mailveil.core.safecopy.matroska import webm_duration_s
from mailveil.core.safecopy.pictures import AVIF_BRANDS
from mailveil.core.safecopy.types import CopyLimits, Refusal, SafeCopy

Samples = npt.NDArray[np.int16]
MAX_CHANNELS = 8
MAX_RATE_HZ = 192_000
BLOCK_FRAMES = 1 << 16
FULL_SCALE = 32_768
SILENT_PEAK = 33  # of 32,768: 60 dB below the loudest
EXACT_BYTES = 1 << 20  # up to here samples stay as they were
SILENCE_RATE_HZ = 8000
MPEG_RATES_HZ = frozenset({8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})
# What libsndfile is let at: each by its own name, so that none of its older formats is ever tried.
DECODED = frozenset({"WAV", "WAVEX", "RF64", "OGG", "FLAC", "MP3", "MPEG", "AIFF", "AU"})


def sanitise_sound(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    """Return a sound anew: short ones of exact samples as WAVE, everything else as MPEG audio."""
    kind = format_of_sound(body)
    if not kind:
        return Refusal.UNKNOWN_TYPE
    if kind == "MP4":
        return silence(film_duration_s(body), limits)
    if kind == "WEBM":
        return silence(webm_duration_s(body), limits)
    if kind == "WAV" and body[:4] == b"RIFF":
        whole = with_true_lengths(body)
        if whole is None:
            return Refusal.UNREADABLE
        body = whole
    try:
        return _reencode(body, limits)
    except MemoryError:
        raise
    except Exception:  # libsndfile's errors, and what its callbacks run into
        return silence(0.0, limits)


def format_of_sound(body: bytes) -> str:
    """Return what kind of sound content is by its first bytes, ``""`` for what is none."""
    if body[:4] in (b"RIFF", b"RF64") and body[8:12] == b"WAVE":
        return "WAV"
    if body[4:8] == b"ftyp" and body[8:12] not in AVIF_BRANDS:
        return "MP4"
    for magic, name in (
        (b"OggS", "OGG"),
        (b"ID3", "MP3"),
        (b"fLaC", "FLAC"),
        (b".snd", "AU"),
        (b"\x1a\x45\xdf\xa3", "WEBM"),
    ):
        if body.startswith(magic):
            return name
    if body.startswith(b"FORM") and body[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    return "MP3" if _is_mpeg_frame(body) else ""


def silence(duration_s: float, limits: CopyLimits) -> SafeCopy:
    """Return a WAVE file of silence that lasts as long as a sound which cannot be decoded."""
    shown_s = min(max(duration_s, 0.01), limits.max_audio_s)
    samples = np.full(int(shown_s * SILENCE_RATE_HZ), 0, dtype="int16")
    body = _written(samples, SILENCE_RATE_HZ, "WAV", "PCM_U8")
    return SafeCopy("audio/wav", body, duration_s=round(duration_s, 3), replaced=True)


def _is_mpeg_frame(body: bytes) -> bool:
    """Tell whether a frame of MPEG audio begins here: eleven set bits and a layer (ISO/IEC 11172-3)."""
    return len(body) > 1 and body[0] == 0xFF and body[1] & 0xE6 in (0xE2, 0xE4, 0xE6)


def with_true_lengths(body: bytes) -> bytes | None:
    """Return format and samples of a RIFF WAVE file with lengths that are true; ``None`` without either.

    A stream that never ends states lengths of 0 or of all bits set; what of it was received counts.
    """
    form, samples, at = b"", b"", 12
    while at + 8 <= len(body):
        name, (length,) = body[at : at + 4], struct.unpack("<I", body[at + 4 : at + 8])
        if name == b"data" and length == 0 and not samples:
            length = len(body) - at - 8
        content = body[at + 8 : at + 8 + length]
        if name == b"fmt " and not form:
            form = content[:40]
        elif name == b"data" and not samples:
            samples = content
        at += 8 + length + (length & 1)
    if len(form) < 16 or not samples:
        return None
    chunks = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)
        for name, content in ((b"fmt ", form), (b"data", samples))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


class _Memory(io.BytesIO):
    """A file in memory that is not bothered by being sent to before its beginning, as damaged sounds do."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place, at most as far back as there is something."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return super().seek(0)


def _reencode(body: bytes, limits: CopyLimits) -> SafeCopy | Refusal:
    with soundfile.SoundFile(_Memory(body)) as source:
        rate, channels, was_exact = (
            source.samplerate,
            source.channels,
            source.format not in ("MP3", "MPEG", "OGG"),
        )
        if (
            source.format not in DECODED
            or not 1 <= channels <= MAX_CHANNELS
            or not 1000 <= rate <= MAX_RATE_HZ
        ):
            return Refusal.UNREADABLE
        subtype = "PCM_U8" if source.subtype == "PCM_U8" else "PCM_16"
        blocks = _read(source, rate * limits.max_audio_s)
        duration_s = max(source.frames, len(blocks)) / rate
    if len(blocks) == 0:
        return silence(0.0, limits)
    peak = int(np.abs(blocks.astype("int32")).max())
    size = blocks.size * (1 if subtype == "PCM_U8" else 2)
    if (was_exact and size <= EXACT_BYTES) or rate not in MPEG_RATES_HZ:
        blocks = blocks[: limits.max_bytes // (2 * blocks.shape[1])]
        written, media_type = _written(blocks, rate, "WAV", subtype), "audio/wav"
    else:
        written, media_type = _written(blocks, rate, "MP3", "MPEG_LAYER_III"), "audio/mpeg"
    return SafeCopy(
        media_type, written, duration_s=round(min(duration_s, 1e6), 3), is_silent=peak <= SILENT_PEAK
    )


def _read(source: soundfile.SoundFile, most: int) -> Samples:
    """Return up to so many frames of at most two channels; what a file says of its length is not believed."""
    blocks: list[Samples] = []
    left = most
    while left > 0:
        # Not as whole numbers: those of files in floating point would come back unscaled, as silence.
        block = source.read(min(BLOCK_FRAMES, left), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        scaled = np.nan_to_num(block[:, :2]) * FULL_SCALE
        blocks.append(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("int16"))
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), dtype="int16")


def _written(samples: Samples, rate: int, kind: str, subtype: str) -> bytes:
    target = io.BytesIO()
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with soundfile.SoundFile(target, "w", rate, channels, subtype, format=kind) as file:
        file.write(samples)
    return target.getvalue()
