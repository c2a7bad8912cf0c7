"""Identities: drawn from a seed, within range, varied enough to be a population."""

from dataclasses import asdict

import numpy as np
import pytest

from lab.actors.identity import BEARDS, BUMPS, HAIR_CUTS, Identity


@pytest.fixture(scope="module")
def people() -> list[Identity]:
    return [Identity.sample(seed) for seed in range(400)]


def test_identity_is_the_same_for_the_same_seed() -> None:
    assert Identity.sample(5) == Identity.sample(5)


def test_identity_differs_for_another_seed() -> None:
    first, second = asdict(Identity.sample(5)), asdict(Identity.sample(6))
    same = [name for name in first if first[name] == second[name]]
    assert len(same) < 12, f"two seeds share {same}"


def test_identity_values_are_plain_and_finite(people: list[Identity]) -> None:
    for person in people:
        for name, value in asdict(person).items():
            if name in ("hair_cut", "beard"):
                continue
            assert np.isfinite(np.asarray(value, float)).all(), f"{name} of seed {person.seed}"
        assert np.shape(person.bumps_B3) == (len(BUMPS), 3)
        assert person.hair_cut in HAIR_CUTS
        assert person.beard in BEARDS


def test_identity_skin_tones_fill_the_range_evenly(people: list[Identity]) -> None:
    counts, _ = np.histogram([person.skin_tone for person in people], bins=3, range=(0, 1))
    assert counts.min() > 100, f"thirds of the skin-tone range hold {counts} of 400"


def test_identity_beards_grow_on_men_only(people: list[Identity]) -> None:
    women = [person for person in people if person.masculinity < 0]
    assert 140 < len(women) < 260
    assert {person.beard for person in women} == {"none"}


def test_identity_glasses_are_worn_by_about_an_eighth(people: list[Identity]) -> None:
    share = np.mean([person.glasses > 0 for person in people])
    assert 0.07 < share < 0.18


def test_identity_random_streams_are_independent_and_repeatable() -> None:
    person = Identity.sample(9)
    first, again, other = (person.random(purpose).random(4) for purpose in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
