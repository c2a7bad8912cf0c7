"""Performances: the same motion at any rate, lips that close, eyes that blink, heads that stay put."""

import numpy as np
import pytest

from lab.actors import articulation, behaviour
from lab.actors.expressions import EXPRESSIONS
from lab.actors.performance import Performance, perform, render_performance
from lab.actors.phonemes import MOUTH_NAMES
from lab.actors.speech import say
from lab.errors import UserError

TRACKS = ("expression_TE", "pose_deg_T3", "shift_cm_T2", "gaze_deg_T2", "light_turn_deg_T2")


def track(performance: Performance, name: str) -> np.ndarray:
    return performance.expression_TE[:, EXPRESSIONS.index(name)]


def mouth(text: str, rate_hz: float = 200.0) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    """Mouth tracks for written phonemes, their times, and the phonemes' (start, end)."""
    speech = say(text)
    time_T = np.arange(0, len(speech.samples_N) / speech.rate_hz, 1 / rate_hz)
    shapes_TM = articulation.close_lips(
        articulation.mouth_shapes(speech, time_T), *articulation.closure(speech, time_T)
    )
    return (
        dict(zip(MOUTH_NAMES, shapes_TM.T, strict=True)),
        time_T,
        {s: (a, b) for s, a, b in speech.phonemes},
    )


@pytest.mark.parametrize("speech", [True, False])
def test_performance_at_another_rate_is_the_same_motion(speech: bool) -> None:
    slow, fast = perform(11, 3.0, 25, speech), perform(11, 3.0, 50, speech)
    for name in TRACKS:
        a, b = getattr(slow, name), getattr(fast, name)
        assert len(b) == 2 * len(a)
        np.testing.assert_array_equal(a, b[::2], err_msg=name)


def test_performance_at_an_odd_rate_follows_the_same_curve() -> None:
    fine, odd = perform(11, 3.0, 200), perform(11, 3.0, 29.97)
    times_s = np.arange(len(odd)) / 29.97
    for column in range(3):
        curve = np.interp(times_s, np.arange(len(fine)) / 200, fine.pose_deg_T3[:, column])
        np.testing.assert_allclose(odd.pose_deg_T3[:, column], curve, atol=1e-3)


def test_performance_depends_on_its_seed() -> None:
    one, again, other = perform(1, 2.0), perform(1, 2.0), perform(2, 2.0)
    for name in TRACKS:
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))
    assert one.light == again.light != other.light
    assert one.background == again.background != other.background


def test_longer_performance_begins_like_a_shorter_one() -> None:
    short, long = perform(4, 3.0, speech=False), perform(4, 6.0, speech=False)
    for name in TRACKS:
        np.testing.assert_allclose(
            getattr(short, name), getattr(long, name)[: len(short)], atol=1e-6, err_msg=name
        )


def test_speech_lasts_as_long_as_the_picture() -> None:
    performance = perform(3, 2.4, 25)
    assert len(performance) == 60 and performance.speech is not None
    assert len(performance.speech.samples_N) == 2.4 * 16_000
    assert perform(3, 2.4, speech=False).speech is None


def test_amounts_stay_within_0_and_1_and_poses_within_their_limits() -> None:
    performances = [perform(seed, 6.0, speech=seed % 2 == 0) for seed in range(12)]
    amounts = np.concatenate([p.expression_TE for p in performances])
    assert amounts.min() >= 0 and amounts.max() <= 1
    poses = np.concatenate([p.pose_deg_T3 for p in performances])
    assert (np.abs(poses) <= behaviour.POSE_LIMIT_DEG).all()
    assert (poses.std(0) > [4, 2, 1]).all(), "heads move"
    gaze = np.concatenate([p.gaze_deg_T2 for p in performances])
    assert (np.abs(gaze) <= behaviour.GAZE_LIMIT_DEG).all()


def test_every_expression_is_used() -> None:
    performances = [perform(seed, 8.0, speech=seed % 2 == 0) for seed in range(10)]
    largest_E = np.max([p.expression_TE.max(0) for p in performances], axis=0)
    weak = [name for name, x in zip(EXPRESSIONS, largest_E, strict=True) if x < 0.25]
    assert not weak, f"never seen in ten performances: {weak}"


def test_head_moves_without_jumps() -> None:
    for seed in range(6):
        step_deg = np.abs(np.diff(perform(seed, 6.0, 50).pose_deg_T3, axis=0)).max(0)
        assert (step_deg < [3.0, 2.0, 1.5]).all(), "less than 150 degrees a second"


def test_blinks_come_every_few_seconds_and_shut_faster_than_they_open() -> None:
    for seed in range(5):
        shifts = behaviour.attention_shifts(np.random.default_rng(seed), 60.0)
        blinks = behaviour.blink_times(np.random.default_rng(seed), shifts, 60.0)
        starts_s = np.array([start for start, _ in blinks])
        lasts_s = np.array([duration for _, duration in blinks])
        assert ((np.diff(starts_s) >= 2) & (np.diff(starts_s) <= 6)).all()
        assert ((lasts_s >= 0.12) & (lasts_s <= 0.25)).all()
    time_T = np.arange(0, 1, 0.001)
    lid_T = behaviour.blink_motion([(0.3, 0.2)], time_T)
    moving_T = (lid_T > 0) & (lid_T < 1)
    closing = (moving_T & (time_T < 0.4)).sum()
    opening = (moving_T & (time_T > 0.4)).sum()
    assert 0 < closing < 0.7 * opening
    assert (lid_T > 0).sum() == pytest.approx(200, abs=5)


def test_every_blink_is_shut_in_some_frame_at_25_a_second() -> None:
    performance = perform(8, 20.0, 25, speech=False)
    shut_T = track(performance, "blink_l") > 0.97
    assert 3 <= np.diff(shut_T.astype(int)).clip(0).sum() <= 10
    np.testing.assert_array_equal(track(performance, "blink_r") > 0.97, shut_T)


def test_eyes_counter_the_head_while_they_fixate() -> None:
    time_T = np.arange(0, 8, 0.005)
    shifts = behaviour.attention_shifts(np.random.default_rng(0), 8.0)
    pose_T3 = behaviour.head_motion(np.random.default_rng(1), shifts, [], time_T)
    gaze_T2 = behaviour.gaze_motion(np.random.default_rng(2), shifts, pose_T3, time_T)
    yaw_speed, gaze_speed = np.gradient(pose_T3[:, 0]), np.gradient(gaze_T2[:, 0])
    quiet_T = (np.abs(gaze_speed) < 0.4) & (np.abs(yaw_speed) > 0.02)
    assert np.corrcoef(yaw_speed[quiet_T], gaze_speed[quiet_T])[0, 1] < -0.8


@pytest.mark.parametrize("sound", ["M", "B", "P"])
@pytest.mark.parametrize("around", ["AA1", "UW1", "AE1"])
def test_lips_close_for_bilabials(sound: str, around: str) -> None:
    tracks, time_T, phonemes = mouth(f"{around} {sound} {around}")
    start_s, end_s = phonemes[sound]
    middle = np.searchsorted(time_T, start_s + 0.4 * (end_s - start_s))
    assert tracks["jaw_open"][middle] < 0.02
    assert tracks["press"][middle] > 0.7
    assert tracks["upper_up"][middle] == tracks["lower_down"][middle] == 0
    assert tracks["jaw_open"].max() > 0.1, "and open again"


def test_every_bilabial_is_closed_in_some_frame_at_25_a_second() -> None:
    for seed in range(6):
        performance = perform(seed, 8.0, 25)
        assert performance.speech is not None
        for symbol, start_s, end_s in performance.speech.phonemes:
            if symbol in ("P", "B", "M") and end_s < 7.8:
                frames = slice(int((start_s - 0.04) * 25), int(np.ceil((end_s + 0.04) * 25)) + 1)
                assert track(performance, "jaw_open")[frames].min() < 0.03, (seed, symbol, start_s)
                assert track(performance, "press")[frames].max() > 0.6, (seed, symbol, start_s)


def test_open_vowels_open_the_jaw_and_round_vowels_round_the_lips() -> None:
    def at_middle(vowel: str) -> dict[str, float]:
        tracks, time_T, phonemes = mouth(f"T {vowel}1 T")
        middle = np.searchsorted(time_T, np.mean(phonemes[f"{vowel}1"]))
        return {name: values[middle] for name, values in tracks.items()}

    a, i, u = at_middle("AA"), at_middle("IY"), at_middle("UW")
    assert a["jaw_open"] > 0.45 > 2 * i["jaw_open"]
    assert u["pucker"] > 0.6 > 0.1 > max(a["pucker"], i["pucker"])
    assert i["stretch"] > 0.3 > a["stretch"]


def test_rounding_starts_before_its_vowel() -> None:
    tracks, time_T, phonemes = mouth("IY1 S T UW1")
    onset_s = phonemes["UW1"][0]
    consonant = np.searchsorted(time_T, onset_s - 0.03)
    plain, plain_time_T, plain_phonemes = mouth("IY1 S T IY1")
    same = np.searchsorted(plain_time_T, plain_phonemes["T"][1] - 0.03)
    assert tracks["pucker"][consonant] > 0.35 > 0.05 > plain["pucker"][same]


def test_louder_vowels_open_wider() -> None:
    from dataclasses import replace

    speech = say("T AA1 T AA1 T AA1 T")
    loud = [(a, b) for s, a, b in speech.phonemes if s == "AA1"]
    samples_N = speech.samples_N.copy()
    for gain, (a, b) in zip((0.4, 1.0, 1.6), loud, strict=True):
        samples_N[int(a * 16000) : int(b * 16000)] *= gain
    changed = replace(speech, samples_N=samples_N)
    middles_s = np.array([(a + b) / 2 for a, b in loud])
    jaw = articulation.mouth_shapes(changed, middles_s)[:, MOUTH_NAMES.index("jaw_open")]
    assert jaw[0] < jaw[1] - 0.05 < jaw[2] - 0.1


def test_mouth_moves_with_speech_and_rests_in_silence() -> None:
    performance = perform(5, 8.0, 50)
    assert performance.speech is not None
    jaw_T, time_T = track(performance, "jaw_open"), np.arange(400) / 50
    talking_T = articulation.voice_activity(performance.speech, time_T) > 0.99
    silent_T = articulation.voice_activity(performance.speech, time_T) == 0
    assert jaw_T[talking_T].std() > 0.08
    assert jaw_T[silent_T].mean() < 0.5 * jaw_T[talking_T].mean()


def test_pressed_lips_and_open_jaw_exclude_each_other() -> None:
    for seed in range(8):
        performance = perform(seed, 6.0, speech=seed % 2 == 0)
        wide_T = track(performance, "jaw_open") > 0.35
        assert (track(performance, "press")[wide_T] < 0.05).all()


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 0.0),
        (0, -1.0),
        (0, float("nan")),
        (0, 1e6),
        (0, 1.0, 0.0),
        (0, 1.0, 1e4),
        (-1, 1.0),
        (0, 1.0, 25, True, "yodel"),
    ],
)
def test_perform_refuses_what_cannot_be_performed(arguments: tuple) -> None:
    with pytest.raises(UserError):
        perform(*arguments)


def test_shortest_performance_has_a_frame() -> None:
    assert len(perform(0, 0.001)) == 1


def test_rendered_performance_shows_what_was_performed() -> None:
    from lab.actors.actor import Actor
    from lab.actors.identity import Identity

    performance = perform(3, 0.2, 25)
    frames = list(render_performance(Actor(Identity.sample(3)), performance, size_px=64))
    assert len(frames) == 5
    for index, frame in enumerate(frames):
        assert frame.image_HW3.shape == (64, 64, 3)
        np.testing.assert_allclose(frame.expression_E, performance.expression_TE[index])
        assert frame.pose == performance.pose(index)
