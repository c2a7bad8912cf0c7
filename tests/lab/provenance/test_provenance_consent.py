"""Who has to be asked, and when."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab import media
from lab.errors import UserError
from lab.provenance import Record, require_consent, sign_and_write

GOOD = "I am the person shown and agree to this use, 2026-11-20"


@pytest.fixture
def actor(tmp_path: Path, portrait) -> Path:
    """A clip folder as `python -m lab render` makes it."""
    rendered = Record("rendered actor", "python -m lab render", "digitalCreation")
    frames = [portrait(0, 64, 64)] * 3
    sign_and_write(tmp_path / "actor" / "video.mp4", frames, rendered, rate_fps=25)
    return tmp_path / "actor"


@pytest.fixture
def footage(tmp_path: Path, portrait) -> Path:
    return media.write_image(tmp_path / "me.png", portrait(1, 64, 64))


def test_actors_need_no_consent(actor: Path) -> None:
    assert require_consent([actor, actor / "video.mp4"], None) is None
    assert require_consent([], None) is None


def test_footage_without_consent_is_refused(actor: Path, footage: Path) -> None:
    with pytest.raises(UserError, match=r"me\.png is not signed.*--consent"):
        require_consent([actor, footage], None)


def test_footage_with_consent_is_accepted(actor: Path, footage: Path) -> None:
    assert require_consent([footage, actor], f"  {GOOD}\n") == GOOD


@pytest.mark.parametrize("statement", ["", "   ", "yes", "ok ok ok ok", "I agree", "x" * 40])
def test_consent_that_says_nothing_is_refused(footage: Path, statement: str) -> None:
    with pytest.raises(UserError, match="--consent statement .* is too short") as refusal:
        require_consent([footage], statement)
    assert "\n" not in str(refusal.value)


def test_earlier_consent_is_handed_on(tmp_path: Path, footage: Path, portrait, record) -> None:
    given = replace(record, consent=GOOD, inputs=(footage,))
    made = sign_and_write(tmp_path / "made.png", portrait(2, 64, 64), given)
    assert require_consent([made], None) == GOOD
    assert require_consent([made, made], "Ada and Bo agree to be shown") == (
        f"Ada and Bo agree to be shown; {GOOD}"
    )


def test_changed_actor_is_footage_again(actor: Path, portrait) -> None:
    """Replacing the video inside an actor's folder does not smuggle a person in."""
    with media.VideoWriter(actor / "video.mp4", 25) as writer:
        writer.write(portrait(3, 64, 64))
    with pytest.raises(UserError, match="not signed"):
        require_consent([actor], None)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"kind": "footage", "consent": GOOD}, GOOD),
        ({"kind": "footage", "consent": "ok"}, None),
        ({"kind": "footage", "consent": None}, None),
        ({"kind": "actor", "consent": GOOD}, None),
    ],
)
def test_prepared_footage_brings_its_statement(tmp_path, portrait, about, expected) -> None:
    """Calling a folder an actor's is not enough: its video would have to be signed."""
    with media.VideoWriter(tmp_path / "video.mp4", 25) as writer:
        writer.write(portrait(3, 64, 64))
    (tmp_path / "clip.json").write_text(json.dumps(about), encoding="utf-8")
    if expected:
        assert require_consent([tmp_path], None) == expected
    else:
        with pytest.raises(UserError, match="not signed"):
            require_consent([tmp_path], None)


def test_unreadable_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*gone\.mp4"):
        require_consent([tmp_path / "gone.mp4"], None)
    with pytest.raises(UserError, match=r"holds no video\.mp4"):
        require_consent([tmp_path], None)
