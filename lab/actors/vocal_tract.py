"""Source and filter: a glottal pulse and two noises through a chain of resonators.

The pulse is the Liljencrants-Fant model in Fant's one-parameter form: small Rd is a pressed voice,
large Rd a relaxed, breathy one. Voice and aspiration pass a cascade of resonators, the formants,
after a pole-zero pair for the nose; friction passes two band filters of its own. Parameters hold for
one step of 40 samples, amplitudes run linearly in between.

Sources: Fant, Liljencrants & Lin 1985; Fant 1995 (Rd); Klatt 1980 (resonators and cascade).

Dimension key: F steps, N samples, K formants.
"""

import functools
import math

import numpy as np
from numba import njit

RATE_HZ = 16_000
STEP_SAMPLES = 40
NASAL_POLE_HZ = 270.0
_TABLE_SIZE = 1024


@functools.lru_cache
def glottal_pulse(rd: float) -> np.ndarray:
    """One period of the glottal flow's derivative.

    Args:
        rd: voice quality, 0.3 (pressed) to 2.7 (breathy).

    Returns:
        (1024,) float64: sums to zero; the lowest value is -1, at the closing of the folds.
    """
    ra = (-1 + 4.8 * rd) / 100
    rk = (22.4 + 11.8 * rd) / 100
    rg = rk / (4 * (0.11 * rd / (0.5 + 1.2 * rk) - ra))
    closing = (1 + rk) / (2 * rg)  # all times are fractions of the period
    omega = 2 * math.pi * rg
    epsilon = 1 / ra
    for _ in range(50):
        epsilon = (1 - math.exp(-epsilon * (1 - closing))) / ra
    time_N = (np.arange(_TABLE_SIZE) + 0.5) / _TABLE_SIZE
    is_open_N = time_N < closing
    return_N = -(np.exp(-epsilon * (time_N - closing)) - math.exp(-epsilon * (1 - closing))) / (
        epsilon * ra
    )

    def flow(alpha: float) -> np.ndarray:
        open_N = np.exp(alpha * (time_N - closing)) * np.sin(omega * time_N)
        return np.where(is_open_N, -open_N / math.sin(omega * closing), return_N)

    low, high = -200.0, 200.0  # the open part's area falls as its growth rate rises
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if flow(middle).sum() > 0 else (low, middle)
    pulse_N = flow(low)
    return pulse_N - pulse_N.mean()


@njit(cache=True)
def _resonator(frequency_hz, bandwidth_hz, rate_hz):
    """Klatt's two-pole resonator with gain 1 at 0 Hz: y = a x + b y1 + c y2."""
    radius = math.exp(-math.pi * bandwidth_hz / rate_hz)
    b = 2 * radius * math.cos(2 * math.pi * frequency_hz / rate_hz)
    c = -radius * radius
    return 1 - b - c, b, c


@njit(cache=True)
def filter_source(
    pulse_N,
    f0_hz_F,
    voicing_F,
    breath_F,
    friction_F,
    formants_hz_FK,
    bandwidths_hz_FK,
    nasal_zero_hz_F,
    band_hz_F2,
    bypass_F,
    noise_N,
    jitter_N,
):
    """Run the synthesiser.

    Args:
        pulse_N: one period of the source, from `glottal_pulse`.
        f0_hz_F: pitch at each step, > 0.
        voicing_F, breath_F, friction_F: amplitudes of pulse, aspiration noise and friction noise.
        formants_hz_FK, bandwidths_hz_FK: the cascade, below half the sample rate.
        nasal_zero_hz_F: the nose's zero; equal to NASAL_POLE_HZ it cancels the nose's pole.
        band_hz_F2: centre and bandwidth of the friction noise.
        bypass_F: share of friction noise that is not filtered.
        noise_N: white noise, one value a sample, at least (F - 1) * 40 of them.
        jitter_N: white noise, one value a pitch period.

    Returns:
        ((F - 1) * 40,) float32: the sound pressure, unscaled.
    """
    steps, formants = formants_hz_FK.shape
    rate_hz = 16_000.0
    table_size = len(pulse_N)
    out_N = np.zeros((steps - 1) * 40, np.float32)
    state_K2 = np.zeros((formants + 1, 2))  # the last row is the nose's pole
    band_state_24 = np.zeros((2, 4))  # x1, x2, y1, y2 of the two equal friction filters
    zero_1 = zero_2 = 0.0
    phase, period, slow_noise, previous = 0.0, 0, 0.0, 0.0
    a_K, b_K, c_K = np.zeros(formants + 1), np.zeros(formants + 1), np.zeros(formants + 1)
    for step in range(steps - 1):
        for k in range(formants):
            a_K[k], b_K[k], c_K[k] = _resonator(
                formants_hz_FK[step, k], bandwidths_hz_FK[step, k], rate_hz
            )
        a_K[formants], b_K[formants], c_K[formants] = _resonator(NASAL_POLE_HZ, 100.0, rate_hz)
        zero_a, zero_b, zero_c = _resonator(nasal_zero_hz_F[step], 100.0, rate_hz)
        radius = math.exp(-math.pi * band_hz_F2[step, 1] / rate_hz)
        band_b = 2 * radius * math.cos(2 * math.pi * band_hz_F2[step, 0] / rate_hz)
        band_gain = (1 - radius * radius) / 2  # gain 1 at the centre, 0 at 0 Hz and 8 kHz
        for sample in range(40):
            n = step * 40 + sample
            mix = sample / 40
            f0_hz = f0_hz_F[step] * (1 - mix) + f0_hz_F[step + 1] * mix
            voicing = voicing_F[step] * (1 - mix) + voicing_F[step + 1] * mix
            breath = breath_F[step] * (1 - mix) + breath_F[step + 1] * mix
            friction = friction_F[step] * (1 - mix) + friction_F[step + 1] * mix
            noise = noise_N[n]

            phase += f0_hz * (1 + jitter_N[period]) / rate_hz
            if phase >= 1:
                phase -= 1
                period = (period + 1) % len(jitter_N)
            place = phase * table_size
            left = int(place)
            part = place - left
            right = left + 1 if left + 1 < table_size else 0
            pulse = pulse_N[left] * (1 - part) + pulse_N[right] * part
            slow_noise = 0.6 * slow_noise + noise * 0.7
            puff = 1.0 if phase < 0.6 or voicing < 0.05 else 0.5  # less breath with closed folds
            x = voicing * pulse + breath * puff * slow_noise

            previous, x = x, x + 0.6 * (x - previous)  # lift for the formants that are left out

            # The nose: a pole, then a zero (the inverse of a resonator).
            y = (
                a_K[formants] * x
                + b_K[formants] * state_K2[formants, 0]
                + c_K[formants] * state_K2[formants, 1]
            )
            state_K2[formants, 1] = state_K2[formants, 0]
            state_K2[formants, 0] = y
            x = (y - zero_b * zero_1 - zero_c * zero_2) / zero_a
            zero_2, zero_1 = zero_1, y

            for k in range(formants - 1, -1, -1):
                x = a_K[k] * x + b_K[k] * state_K2[k, 0] + c_K[k] * state_K2[k, 1]
                state_K2[k, 1] = state_K2[k, 0]
                state_K2[k, 0] = x

            hiss = friction * noise * (0.6 + 0.4 * puff)
            band = hiss
            for k in range(2):
                x_1, x_2 = band_state_24[k, 0], band_state_24[k, 1]
                y_1, y_2 = band_state_24[k, 2], band_state_24[k, 3]
                y = band_gain * (band - x_2) + band_b * y_1 - radius * radius * y_2
                band_state_24[k, 0], band_state_24[k, 1] = band, x_1
                band_state_24[k, 2], band_state_24[k, 3] = y, y_1
                band = y
            out_N[n] = x + band + bypass_F[step] * hiss
    return out_N
