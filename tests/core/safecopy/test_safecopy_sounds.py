"""Sounds are decoded and encoded anew, cut to a length; whether anything is heard is told from the samples.

Setup: sounds of every decoded format, made here, with things said beside the samples; endless ones.
Test: the copy decodes to the same sound, says nothing, and is no longer than allowed.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from mailveil.core.references.types import Media
from mailveil.core.safecopy import CopyLimits, Refusal, SafeCopy, sanitise

SECRET = b"SECRET-90aa"
RATE = 16_000
KINDS = [
    ("WAV", "PCM_16", "audio/wav"),
    ("WAV", "PCM_U8", "audio/wav"),
    ("WAV", "FLOAT", "audio/wav"),
    ("WAV", "ULAW", "audio/wav"),
    ("AIFF", "PCM_16", "audio/wav"),
    ("FLAC", "PCM_16", "audio/wav"),
    ("OGG", "VORBIS", "audio/mpeg"),
    ("OGG", "OPUS", "audio/mpeg"),
    ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
]


def tone(seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * 440 * np.arange(int(RATE * seconds)) / RATE)


def sound(kind: str, subtype: str, samples: np.ndarray, *, says: bool = False) -> bytes:
    written = io.BytesIO()
    with soundfile.SoundFile(written, "w", RATE, 1, subtype, format=kind) as file:
        if says and kind != "MP3":
            file.comment = SECRET.decode()
            file.title = SECRET.decode()
        file.write(samples)
    body = written.getvalue()
    if says and kind == "MP3":
        frame = b"TIT2" + struct.pack(">IH", len(SECRET) + 1, 0) + b"\0" + SECRET
        body = b"ID3\3\0\0" + bytes((0, 0, 0, len(frame))) + frame + body
    return body


def read(body: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(body))
    assert rate == RATE
    return samples


@pytest.mark.parametrize(("kind", "subtype", "media_type"), KINDS)
def test_a_sound_sounds_the_same_and_says_nothing(kind: str, subtype: str, media_type: str) -> None:
    body = sound(kind, subtype, tone(), says=True)
    assert SECRET in body
    copy = sanitise(body, Media.AUDIO)
    assert isinstance(copy, SafeCopy)
    assert (copy.media_type, copy.is_silent, copy.replaced) == (media_type, False, False)
    assert SECRET not in copy.body
    assert abs(copy.duration_s - 1) < 0.2
    heard = read(copy.body)
    spectrum = np.abs(np.fft.rfft(heard))
    assert abs(np.argmax(spectrum) * RATE / len(heard) - 440) < 5
    again = sanitise(copy.body, Media.AUDIO)
    assert isinstance(again, SafeCopy)
    assert again.media_type == copy.media_type


@pytest.mark.parametrize(("kind", "subtype", "media_type"), KINDS)
def test_silence_is_told_from_the_samples(kind: str, subtype: str, media_type: str) -> None:
    copy = sanitise(sound(kind, subtype, np.zeros(RATE)), Media.AUDIO)
    assert isinstance(copy, SafeCopy)
    assert copy.is_silent is True


def test_a_long_sound_is_cut() -> None:
    for kind, subtype in (("WAV", "PCM_16"), ("OGG", "VORBIS")):
        body = sound(kind, subtype, tone(8))
        copy = sanitise(body, Media.AUDIO, CopyLimits(max_audio_s=3))
        assert isinstance(copy, SafeCopy)
        assert abs(len(read(copy.body)) / RATE - 3) < 0.2
        assert abs(copy.duration_s - 8) < 0.1, "what was received is on record"


def test_a_large_sound_of_exact_samples_is_packed() -> None:
    copy = sanitise(sound("WAV", "PCM_16", tone(50)), Media.AUDIO)
    assert isinstance(copy, SafeCopy)
    assert copy.media_type == "audio/mpeg"


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_sound_that_never_ends_is_what_came_of_it(length: int) -> None:
    body = sound("WAV", "PCM_16", np.zeros(RATE * 2))
    at = body.index(b"data")
    endless = (
        body[:4] + struct.pack("<I", length) + body[8 : at + 4] + struct.pack("<I", length) + body[at + 8 :]
    )
    copy = sanitise(endless, Media.AUDIO)
    assert isinstance(copy, SafeCopy)
    assert len(read(copy.body)) == RATE * 2
    assert (copy.is_silent, copy.duration_s) == (True, 2.0)


def test_what_cannot_be_decoded_becomes_as_long_a_silence() -> None:
    header = struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0)
    told = b"\0" * 12 + struct.pack(">II", 1000, 7500) + b"\0" * 80
    moov = (
        struct.pack(">I4s", 8 + len(told) + 8, b"moov") + struct.pack(">I4s", 8 + len(told), b"mvhd") + told
    )
    copy = sanitise(header + moov + SECRET, Media.AUDIO)
    assert isinstance(copy, SafeCopy)
    assert (copy.media_type, copy.replaced, copy.duration_s) == ("audio/wav", True, 7.5)
    assert copy.is_silent is None, "nobody listened to it"
    samples, rate = soundfile.read(io.BytesIO(copy.body))
    assert len(samples) / rate == 7.5
    assert not samples.any()
    bounded = sanitise(header + moov.replace(struct.pack(">I", 7500), b"\xff\xff\xff\xff"), Media.AUDIO)
    assert isinstance(bounded, SafeCopy)
    assert len(soundfile.read(io.BytesIO(bounded.body))[0]) == 60 * 8000


@pytest.mark.parametrize(("kind", "subtype", "media_type"), KINDS)
def test_damaged_sounds_give_an_answer(kind: str, subtype: str, media_type: str) -> None:
    body = bytearray(sound(kind, subtype, tone(0.2)))
    for at in range(0, min(len(body), 400), 3):
        damaged = bytes(body[:at]) + bytes((body[at] ^ 0xFF,)) + bytes(body[at + 1 :])
        result = sanitise(damaged, Media.AUDIO)
        assert isinstance(result, SafeCopy | Refusal)
        if isinstance(result, SafeCopy):
            read_back, _rate = soundfile.read(io.BytesIO(result.body))
            assert len(read_back)
