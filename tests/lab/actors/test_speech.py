"""The voices: exact times, formants where the tables put them, silence where it belongs."""

import time

import numpy as np
import pytest

from lab.actors.phonemes import MOUTH_NAMES, MOUTHS, SOUNDS, VOWELS, base, stress
from lab.actors.speech import (
    RATE_HZ,
    VOICES,
    Speech,
    add_noise,
    add_room,
    find_voice,
    say,
    speak,
)
from lab.actors.vocal_tract import glottal_pulse
from lab.errors import UserError


def formants_hz(samples_N: np.ndarray) -> np.ndarray:
    """Formant frequencies by linear prediction (autocorrelation method, order 18)."""
    x = np.append(samples_N[0], samples_N[1:] - 0.95 * samples_N[:-1]) * np.hamming(len(samples_N))
    r = np.correlate(x, x, "full")[len(x) - 1 : len(x) + 18]
    toeplitz = r[np.abs(np.subtract.outer(range(18), range(18)))]
    coefficients = np.linalg.solve(toeplitz + 1e-9 * r[0] * np.eye(18), r[1:])
    roots = np.roots(np.append(1, -coefficients))
    roots = roots[roots.imag > 0]
    bandwidth_hz = -np.log(np.abs(roots)) * RATE_HZ / np.pi
    return np.sort(np.angle(roots)[bandwidth_hz < 500] * RATE_HZ / (2 * np.pi))


def part(speech: Speech, symbol: str, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    """The samples of the first phoneme of that name, or a share of them."""
    _, a, b = next(p for p in speech.phonemes if base(p[0]) == symbol)
    first, last = (round((a + share * (b - a)) * RATE_HZ) for share in (start, stop))
    return speech.samples_N[first:last]


def level_db(samples_N: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples_N.astype(float) ** 2) + 1e-12))


def centroid_hz(samples_N: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples_N * np.hanning(len(samples_N)))) ** 2
    return float((np.fft.rfftfreq(len(samples_N), 1 / RATE_HZ) * power).sum() / power.sum())


@pytest.mark.parametrize("seconds", [0.05, 0.7, 3.0, 7.123])
@pytest.mark.parametrize("seed", [0, 5])
def test_speech_fills_its_time_exactly(seed: int, seconds: float) -> None:
    speech = speak(seed, seconds)
    assert speech.samples_N.shape == (round(seconds * RATE_HZ),)
    assert speech.samples_N.dtype == np.float32
    assert np.abs(speech.samples_N).max() <= 1
    starts = [a for _, a, _ in speech.phonemes]
    ends = [b for _, _, b in speech.phonemes]
    assert starts[0] == 0 and starts[1:] == ends[:-1], "phonemes leave no gap"
    assert ends[-1] == pytest.approx(seconds)
    assert all(b > a for _, a, b in speech.phonemes)


def test_speech_depends_on_seed_and_nothing_else() -> None:
    assert np.array_equal(speak(3, 2.0).samples_N, speak(3, 2.0).samples_N)
    assert speak(3, 2.0).phonemes != speak(4, 2.0).phonemes


@pytest.mark.parametrize("vowel", ["IY", "EH", "AA", "UW", "ER"])
@pytest.mark.parametrize("voice", ["bass", "baritone", "tenor"])
def test_vowel_has_the_formants_of_its_table(voice: str, vowel: str) -> None:
    measured_hz = formants_hz(part(say(f"{vowel}1", voice), vowel, 0.35, 0.65))
    wanted_hz = np.array(SOUNDS[vowel].formants_hz[:2]) * find_voice(voice).formant_scale
    nearest_hz = [min(measured_hz, key=lambda f: abs(f - w)) for w in wanted_hz]
    np.testing.assert_allclose(nearest_hz, wanted_hz, rtol=0.08)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_voice_has_its_pitch(voice) -> None:
    samples_N = part(say("AA1", voice), "AA", 0.3, 0.7)
    correlation = np.correlate(samples_N, samples_N, "full")[len(samples_N) - 1 :]
    shortest, longest = int(RATE_HZ / (voice.pitch_hz * 1.5)), int(RATE_HZ / (voice.pitch_hz / 1.5))
    period = shortest + int(np.argmax(correlation[shortest:longest]))
    assert abs(12 * np.log2(RATE_HZ / period / voice.pitch_hz)) < 5, "within five semitones"


def test_glottal_pulse_closes_at_minus_one_and_sums_to_zero() -> None:
    for rd in (0.4, 1.0, 2.2):
        pulse_N = glottal_pulse(rd)
        assert abs(pulse_N.mean()) < 1e-9
        assert pulse_N.min() == pytest.approx(-1, abs=0.05)
    pressed, relaxed = (np.abs(np.fft.rfft(glottal_pulse(rd))) for rd in (0.4, 2.2))
    assert pressed[20] / pressed[1] > 3 * relaxed[20] / relaxed[1], "a pressed voice is brighter"


def test_friction_lies_where_its_table_says() -> None:
    speech = say("AA1 S AA1 SH AA1")
    assert 5000 < centroid_hz(part(speech, "S", 0.2, 0.8)) < 7000
    assert 2300 < centroid_hz(part(speech, "SH", 0.2, 0.8)) < 4200


def test_stop_is_silent_then_bursts() -> None:
    speech = say("AA1 T AA1")
    closure_db = level_db(part(speech, "T", 0.25, 0.5))
    burst_db = level_db(part(speech, "T", 0.6, 0.85))
    assert burst_db > closure_db + 20
    assert level_db(part(speech, "AA", 0.3, 0.7)) > closure_db + 30


def test_nasal_is_softer_and_duller_than_its_vowel() -> None:
    speech = say("AA1 M AA1")
    nasal_N, vowel_N = part(speech, "M", 0.3, 0.7), part(speech, "AA", 0.3, 0.7)
    assert level_db(nasal_N) < level_db(vowel_N) - 3
    assert centroid_hz(nasal_N) < 0.7 * centroid_hz(vowel_N)


def test_silence_is_silent() -> None:
    speech = speak(1, 6.0)
    for symbol, start_s, end_s in speech.phonemes:
        if symbol == "SIL" and end_s - start_s > 0.15:
            middle = slice(int((start_s + 0.1) * RATE_HZ), int(end_s * RATE_HZ) - 100)
            assert level_db(speech.samples_N[middle]) < -60


def test_babble_has_the_sounds_that_lips_are_watched_for() -> None:
    symbols = [base(s) for seed in range(6) for s, _, _ in speak(seed, 10).phonemes]
    spoken = [s for s in symbols if s != "SIL"]
    assert 0.06 < sum(s in "PBM" for s in spoken) / len(spoken) < 0.25
    assert {"UW", "OW", "W"} & set(spoken) and {"F", "V"} & set(spoken)
    assert 0.3 < sum(s in VOWELS for s in spoken) / len(spoken) < 0.6


def test_rate_makes_words_shorter() -> None:
    from dataclasses import replace

    slow, fast = (say("B AA1 T", replace(VOICES[1], rate=rate)) for rate in (0.8, 1.25))
    assert len(slow.samples_N) > 1.2 * len(fast.samples_N)


def test_say_speaks_what_is_written() -> None:
    speech = say("m aa1 m ah0 SIL b uw1")
    assert [s for s, _, _ in speech.phonemes if s != "SIL"] == ["M", "AA1", "M", "AH0", "B", "UW1"]


@pytest.mark.parametrize("text", ["", "SIL", "M XX1", "S1"])
def test_say_refuses_what_it_cannot_pronounce(text: str) -> None:
    with pytest.raises(UserError):
        say(text)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e9])
def test_speak_refuses_a_senseless_duration(seconds: float) -> None:
    with pytest.raises(UserError):
        speak(0, seconds)


def test_unknown_voice_is_refused_with_the_choice() -> None:
    with pytest.raises(UserError, match="baritone"):
        find_voice("yodel")


def test_noise_has_the_level_asked_for() -> None:
    samples_N = speak(2, 3.0).samples_N * 0.3
    for snr_db in (0, 20):
        noisy_N = add_noise(samples_N, snr_db, seed=1)
        noise_N = noisy_N.astype(float) - samples_N
        assert level_db(samples_N) - level_db(noise_N) == pytest.approx(snr_db, abs=0.3)


def test_room_rings_on_after_the_sound() -> None:
    click_N = np.zeros(RATE_HZ, np.float32)
    click_N[100] = 0.5
    wet_N = add_room(click_N, rt60_s=0.4, seed=0)
    assert wet_N.shape == click_N.shape and np.abs(wet_N).max() == pytest.approx(0.5)
    assert level_db(wet_N[200:1000]) > level_db(wet_N[3000:4000]) + 15 > -90
    assert np.all(wet_N[:99] < 1e-6), "an echo never comes before its sound"


def test_speech_is_faster_than_twenty_times_real_time() -> None:
    speak(0, 0.5)  # compiles
    started_s = time.process_time()
    speak(1, 20.0)
    assert 20.0 / (time.process_time() - started_s) > 20


def test_every_sound_has_a_mouth() -> None:
    assert MOUTHS.keys() == SOUNDS.keys()
    for mouth in MOUTHS.values():
        for shape in (mouth.shape, mouth.end or mouth.shape):
            assert len(shape) == len(MOUTH_NAMES) and all(0 <= x <= 1 for x in shape)
    assert (base("AA1"), stress("AA1"), base("SIL"), stress("B")) == ("AA", 1, "SIL", 0)
