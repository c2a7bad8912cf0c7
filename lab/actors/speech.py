"""Embedded voices: babble with exact phoneme times, from a seed.

`speak` invents phrases and says them, `say` says given ARPAbet. Nothing is recorded: a glottal
pulse and noise pass through formant filters (see `vocal_tract`), steered by the phoneme tables. The
result sounds like an early speech computer, and that is enough for what it teaches: every sound has
its place in the spectrum, its time on the axis, and its shape of the lips.

Dimension key: N samples, F control steps of 2.5 ms, K formants.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng

from lab.actors import vocal_tract
from lab.actors.phonemes import SOUNDS, base
from lab.actors.sentences import Phone, babble, recite
from lab.errors import UserError

RATE_HZ = vocal_tract.RATE_HZ
_UPPER_FORMANTS_HZ = (3500.0, 4500.0, 5500.0)
_BANDWIDTHS_HZ = (70.0, 90.0, 140.0, 220.0, 280.0, 360.0)
_LEVELS = {"vowel": 1.0, "approximant": 0.85, "nasal": 0.75}  # of the pulse
_SPEECH_RMS = 0.09


@dataclass(frozen=True)
class Voice:
    """A speaker.

    Args:
        name: how the voice is chosen.
        pitch_hz: mean pitch.
        formant_scale: 1 is a vocal tract of 17.5 cm; shorter tracts scale up, a child's to 1.3.
        rate: speed of speaking; 1 is about 4.5 syllables a second.
        rd: glottal pulse shape, 0.3 (pressed) to 2.7 (breathy).
        breath: aspiration noise beside the voice, 0 to about 0.1.
        melody: multiplies every rise and fall of pitch.
        jitter: irregularity of the pitch periods (standard deviation, a share).
    """

    name: str
    pitch_hz: float
    formant_scale: float
    rate: float = 1.0
    rd: float = 1.0
    breath: float = 0.01
    melody: float = 1.0
    jitter: float = 0.006


VOICES: tuple[Voice, ...] = (
    Voice("bass", 86, 0.94, rate=0.92, rd=0.6),
    Voice("baritone", 106, 1.0, rd=0.65),
    Voice("tenor", 136, 1.04, rate=1.08, rd=0.7, melody=1.2),
    Voice("gravel", 97, 0.97, rate=0.95, rd=0.45, melody=0.7, jitter=0.025),
    Voice("alto", 176, 1.12, rd=0.9, breath=0.015),
    Voice("mezzo", 202, 1.16, rate=1.05, rd=1.0, melody=1.2),
    Voice("soprano", 228, 1.2, rate=1.12, rd=0.9, melody=1.4),
    Voice("husky", 188, 1.14, rate=0.9, rd=1.8, breath=0.06, melody=0.8),
    Voice("child", 272, 1.3, rate=0.95, rd=1.0, breath=0.02, melody=1.4),
)


@dataclass(frozen=True)
class Speech:
    """Sound and what is said in it.

    Args:
        samples_N: float32 in [-1, 1].
        rate_hz: samples a second.
        phonemes: (symbol, start_s, end_s) in order, without gaps, silence included as "SIL".
    """

    samples_N: np.ndarray
    rate_hz: int
    phonemes: tuple[tuple[str, float, float], ...]


def find_voice(voice: str | Voice | None, rng: Generator | None = None) -> Voice:
    """A voice by name; with None, one drawn from `rng`.

    Raises:
        UserError: if there is no voice of that name.
    """
    if isinstance(voice, Voice):
        return voice
    if voice is None:
        return VOICES[(rng or default_rng(0)).integers(len(VOICES))]
    for candidate in VOICES:
        if candidate.name == voice:
            return candidate
    raise UserError(f"no voice '{voice}'; choose from {', '.join(v.name for v in VOICES)}")


def speak(seed: int, seconds: float, voice: str | Voice | None = None) -> Speech:
    """Invent phrases and say them.

    Args:
        seed: decides words, melody and, with no voice given, the voice.
        seconds: exact duration, > 0.
        voice: a name from VOICES or a Voice.

    Returns:
        round(seconds * 16000) samples; the same for the same arguments.
    """
    if not 0 < seconds <= 3600:
        raise UserError(f"speech of {seconds:g} s; expected more than 0 and at most 3600 seconds")
    rng = default_rng([seed, 0x5BEEC4])
    voice = find_voice(voice, rng)
    phones = babble(rng, seconds + vocal_tract.STEP_SAMPLES / RATE_HZ, voice.rate)
    speech = synthesise(phones, voice, rng)
    phonemes = [(p, a, min(b, seconds)) for p, a, b in speech.phonemes if a < seconds]
    return Speech(speech.samples_N[: round(seconds * RATE_HZ)], RATE_HZ, tuple(phonemes))


def say(text: str, voice: str | Voice = "baritone", seed: int = 0) -> Speech:
    """Say written ARPAbet, e.g. "M AA1 M AH0 SIL B UW1"."""
    chosen = find_voice(voice)
    return synthesise(recite(text, chosen.rate), chosen, default_rng([seed, 0x5A4]))


def synthesise(phones: Sequence[Phone], voice: Voice, rng: Generator) -> Speech:
    """Turn a score into sound: lay the phones on a time axis, draw the controls, run the filters."""
    steps = [round(phone.duration_s / vocal_tract.STEP_SAMPLES * RATE_HZ) for phone in phones]
    edges = np.concatenate([[0], np.cumsum(steps)])
    count = int(edges[-1]) + 1
    formants_hz_FK = _formants(phones, edges, count)
    controls = _Controls.silent(count)
    for index in range(len(phones)):
        _write_phone(controls, phones, index, int(edges[index]), int(edges[index + 1]))
    wide_F = 1 + 0.8 * _smooth(controls.nasal_F, 6)
    bandwidths_hz_FK = np.array(_BANDWIDTHS_HZ) * voice.formant_scale * wide_F[:, None]
    zero_hz_F = vocal_tract.NASAL_POLE_HZ + _smooth(controls.nasal_zero_hz_F, 6)
    openness_F = (formants_hz_FK[:, 0] / 500) ** 0.9  # an open mouth radiates more
    voicing_F = _smooth(controls.voicing_F, 6) * openness_F
    band_hz_F2 = controls.band_hz_F2 * [voice.formant_scale**0.5, 1.0]
    band_hz_F2[:, 0] = np.minimum(band_hz_F2[:, 0], 7200)
    raw_N = vocal_tract.filter_source(
        vocal_tract.glottal_pulse(voice.rd),
        _pitch(phones, edges, count, voice),
        voicing_F,
        _smooth(controls.breath_F, 4) + voice.breath * voicing_F,
        _smooth(controls.friction_F, 3),
        np.minimum(formants_hz_FK * voice.formant_scale, 7600),
        bandwidths_hz_FK,
        zero_hz_F,
        band_hz_F2,
        controls.bypass_F,
        rng.standard_normal((count - 1) * vocal_tract.STEP_SAMPLES),
        voice.jitter * rng.standard_normal(1024),
    )
    times_s = edges * (vocal_tract.STEP_SAMPLES / RATE_HZ)
    phonemes = tuple(
        (phone.symbol, round(float(a), 4), round(float(b), 4))
        for phone, a, b in zip(phones, times_s[:-1], times_s[1:], strict=True)
    )
    return Speech(_level(raw_N), RATE_HZ, phonemes)


def add_noise(samples_N: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    """Add pink noise.

    Args:
        samples_N: float32 in [-1, 1].
        snr_db: mean power of the sound over that of the noise.
        seed: draws the noise.

    Returns:
        (N,) float32, clipped to [-1, 1].
    """
    spectrum = np.fft.rfft(default_rng(seed).standard_normal(len(samples_N)))
    noise_N = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(samples_N))
    gain = np.sqrt(np.mean(samples_N**2) / np.mean(noise_N**2) * 10 ** (-snr_db / 10))
    return np.clip(samples_N + gain * noise_N, -1, 1).astype(np.float32)


def add_room(samples_N: np.ndarray, rt60_s: float, seed: int, wet: float = 0.5) -> np.ndarray:
    """Add reverberation: the sound convolved with noise that dies away.

    Args:
        samples_N: float32 in [-1, 1], at RATE_HZ.
        rt60_s: time in which the echo falls by 60 dB: 0.2 a furnished room, 1.5 a hall.
        seed: draws the room.
        wet: energy of the echo over that of the direct sound.

    Returns:
        (N,) float32 of the same peak and length; the tail that runs over the end is cut.
    """
    length = max(1, round(rt60_s * RATE_HZ))
    decay_M = 10 ** (-3 * np.arange(length) / length)
    echo_M = default_rng(seed).standard_normal(length) * decay_M
    echo_M *= np.sqrt(wet / np.sum(echo_M**2))
    echo_M[0] = 1.0
    size = len(samples_N) + length - 1
    spectrum = np.fft.rfft(samples_N, size) * np.fft.rfft(echo_M, size)
    wet_N = np.fft.irfft(spectrum, size)[: len(samples_N)]
    peak = np.abs(wet_N).max()
    return (wet_N * (np.abs(samples_N).max() / peak if peak > 0 else 1)).astype(np.float32)


@dataclass
class _Controls:
    """The synthesiser's knobs at each control step, before smoothing."""

    voicing_F: np.ndarray
    breath_F: np.ndarray
    friction_F: np.ndarray
    nasal_F: np.ndarray
    nasal_zero_hz_F: np.ndarray  # above the nose's pole
    band_hz_F2: np.ndarray
    bypass_F: np.ndarray

    @classmethod
    def silent(cls, count: int) -> "_Controls":
        return cls(
            *(np.zeros(count) for _ in range(5)),
            np.tile([4000.0, 2000.0], (count, 1)),
            np.zeros(count),
        )


def _write_phone(
    controls: _Controls, phones: Sequence[Phone], index: int, start: int, end: int
) -> None:
    """Set the amplitudes of one phoneme, part by part, over the steps start..end."""
    phone, sound = phones[index], SOUNDS[base(phones[index].symbol)]
    amplitude = phone.loudness**1.5
    here = slice(start, end)
    if sound.noise:
        centre_hz, bandwidth_hz, level, bypass = sound.noise
        if sound.pull > 0.6:  # K and G: the burst stands where the next vowel's F2 begins
            centre_hz = 1.05 * _toward_neighbours(phones, index)[1]
        controls.band_hz_F2[here] = centre_hz, bandwidth_hz
        controls.bypass_F[here] = bypass * level
    if sound.manner in _LEVELS:
        controls.voicing_F[here] = amplitude * _LEVELS[sound.manner]
        if sound.nasal_zero_hz:
            controls.nasal_F[here] = 1
            controls.nasal_zero_hz_F[here] = sound.nasal_zero_hz - vocal_tract.NASAL_POLE_HZ
    elif sound.manner == "aspirate":
        controls.breath_F[here] = 0.045 * amplitude
    elif sound.manner == "fricative":
        controls.friction_F[here] = level * amplitude
        controls.voicing_F[here] = 0.3 * amplitude * sound.voiced
    elif sound.manner in ("stop", "affricate"):
        share = 0.45 if sound.manner == "affricate" else 0.62 if not sound.voiced else 0.75
        burst = start + max(4, round(share * (end - start)))
        opened = burst + (4 if sound.manner == "stop" else end - burst)  # 10 ms of burst
        controls.voicing_F[start:burst] = 0.12 * amplitude * sound.voiced
        controls.friction_F[burst : min(opened, end)] = level * amplitude
        if sound.voiced:
            controls.voicing_F[burst:end] = 0.3 * amplitude
        else:
            controls.breath_F[burst:end] = 0.05 * amplitude


def _toward_neighbours(phones: Sequence[Phone], index: int) -> tuple[float, float, float]:
    """A consonant's formants in its context: its locus, bent towards the nearest vowel."""
    sound = SOUNDS[base(phones[index].symbol)]
    vowel = (500.0, 1500.0, 2500.0)
    for step in (1, -1, 2, -2):
        if 0 <= index + step < len(phones):
            other = SOUNDS[base(phones[index + step].symbol)]
            if other.manner == "vowel":
                vowel = other.formants_hz if step > 0 else other.glide_hz or other.formants_hz
                break
    bent = [
        locus + sound.pull * (v - locus) for locus, v in zip(sound.formants_hz, vowel, strict=True)
    ]
    f1 = vowel[0] if sound.manner == "aspirate" else sound.formants_hz[0]
    return f1, bent[1], bent[2]


def _formants(phones: Sequence[Phone], edges: np.ndarray, count: int) -> np.ndarray:
    """(F, 6) formant tracks for scale 1: targets held within each phone, lines between them."""
    places: list[float] = []
    targets: list[tuple[float, float, float]] = []
    for index, phone in enumerate(phones):
        sound = SOUNDS[base(phone.symbol)]
        start, length = edges[index], edges[index + 1] - edges[index]
        if sound.manner == "silence":
            continue
        if sound.manner == "vowel":
            places += [start + 0.3 * length, start + (0.9 if sound.glide_hz else 0.7) * length]
            targets += [sound.formants_hz, sound.glide_hz or sound.formants_hz]
        else:
            places += [start + 0.25 * length, start + 0.8 * length]
            targets += [_toward_neighbours(phones, index)] * 2
    if not targets:
        places, targets = [0.0], [(500.0, 1500.0, 2500.0)]
    tracks_FK = np.empty((count, 6))
    for k, values in enumerate(zip(*targets, strict=True)):
        tracks_FK[:, k] = _smooth(np.interp(np.arange(count), places, values), 6)
    tracks_FK[:, 3:] = _UPPER_FORMANTS_HZ
    tracks_FK[:, 3] = np.maximum(tracks_FK[:, 3], tracks_FK[:, 2] + 500)
    return tracks_FK


def _pitch(phones: Sequence[Phone], edges: np.ndarray, count: int, voice: Voice) -> np.ndarray:
    """(F,) pitch in Hz: the score's melody, with a slow waver."""
    middles = [
        ((a + b) / 2, phone.pitch_st)
        for phone, a, b in zip(phones, edges[:-1], edges[1:], strict=True)
        if base(phone.symbol) != "SIL"
    ] or [(0.0, 0.0)]
    melody_F = _smooth(np.interp(np.arange(count), *zip(*middles, strict=True)), 16)
    second_F = np.arange(count) * (vocal_tract.STEP_SAMPLES / RATE_HZ)
    waver_F = np.sin(2 * np.pi * 4.7 * second_F) + np.sin(2 * np.pi * 7.1 * second_F)  # Klatt 1990
    return voice.pitch_hz * 2 ** (voice.melody * melody_F / 12) * (1 + 0.005 * waver_F)


def _smooth(track_F: np.ndarray, width: int) -> np.ndarray:
    """Moving average over `width` steps, ends repeated."""
    padded = np.pad(track_F, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _level(raw_N: np.ndarray) -> np.ndarray:
    """Bring the loud parts to a fixed level; peaks are rounded off below 1."""
    loud_N = raw_N[np.abs(raw_N) > 0.05 * np.abs(raw_N).max(initial=0)]
    if not len(loud_N):
        return np.zeros(len(raw_N), np.float32)
    scaled_N = raw_N * (_SPEECH_RMS / np.sqrt(np.mean(loud_N**2)))
    return np.tanh(scaled_N).astype(np.float32)
