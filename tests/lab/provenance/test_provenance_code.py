"""The watermark's error-correcting code."""

import numpy as np
import pytest

from lab.provenance import bch


def payloads(count: int, seed: int = 0) -> list[int]:
    return [int(p) for p in np.random.default_rng(seed).integers(0, 1 << 32, count)]


def test_generator_polynomial_divides_x63_plus_1() -> None:
    remainder = 1 << 63 | 1
    for degree in range(63, 26, -1):
        if remainder >> degree & 1:
            remainder ^= bch._GENERATOR << degree - 27
    assert remainder == 0


def test_words_differ_in_at_least_12_places() -> None:
    words = np.stack([bch.encode(p) for p in payloads(300)])
    distance = (64 - words @ words.T) / 2
    assert distance[~np.eye(300, dtype=bool)].min() >= 12
    neighbours = np.stack([bch.encode(12345 ^ 1 << bit) for bit in range(32)])
    assert ((64 - neighbours @ bch.encode(12345)) / 2).min() >= 12


def test_decode_mends_two_wrong_bits_that_look_as_sure_as_the_rest() -> None:
    rng = np.random.default_rng(1)
    for payload in payloads(60):
        soft = bch.encode(payload)
        soft[rng.choice(64, 2, replace=False)] *= -1
        found, word, _ = bch.decode(soft)
        assert found == payload
        np.testing.assert_array_equal(word, bch.encode(payload))


def test_decode_withstands_noise() -> None:
    """At a noise of 0.6 a bit is wrong once in 21; 200 words of 64 bits are nearly all mended."""
    rng = np.random.default_rng(3)
    right = [
        bch.decode(bch.encode(p) + rng.normal(0, 0.6, 64))[0] == p for p in payloads(200, seed=4)
    ]
    assert np.mean(right) > 0.97


def test_decode_uses_how_sure_each_bit_is() -> None:
    """12 wrong bits are beyond hard decoding, but not when they are the least sure ones."""
    rng = np.random.default_rng(2)
    for payload in payloads(40):
        soft = bch.encode(payload) * rng.uniform(0.8, 1.2, 64)
        soft[rng.choice(64, 12, replace=False)] *= -0.3
        assert bch.decode(soft)[0] == payload


def test_decode_reports_no_lead_between_two_equally_good_words() -> None:
    one, other = bch.encode(1), bch.encode(2)
    _, _, clear = bch.decode(one)
    _, _, torn = bch.decode((one + other) / 2 + 1e-9)
    assert clear >= 24, "the next word differs in 12 places or more"
    assert torn < 1e-6


@pytest.mark.parametrize("payload", [-1, 1 << 32])
def test_encode_refuses_more_than_32_bits(payload: int) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        bch.encode(payload)
