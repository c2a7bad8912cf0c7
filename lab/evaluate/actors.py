"""Figures of the actors: are they faces to others' detectors, are they people of their own, do they
move as told, and how fast are they rendered?

Everything is measured on identities that no weights were trained on, drawn from `--seed`, with
dlib's detector, landmarks and embedding (`lab.faces`). Times are processor seconds of one thread.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from lab import faces
from lab.actors import (
    EXPRESSIONS,
    Actor,
    Background,
    Frame,
    Identity,
    Light,
    Pose,
    Renderer,
    warm_up,
)
from lab.evaluate import Figure

ACTORS = 200  # identities of the detection and landmark figures
FIRST_SEED = 10_000  # identities below train weights
VIEWED_ACTORS, VIEWS = 60, 5  # of the embedding figures
MOVING_ACTORS, MOVES = 25, 12  # of the expression figures
BACKGROUNDS = 200

TONES = ("light", "medium", "dark")  # thirds of the range of skin tones


@dataclasses.dataclass(frozen=True)
class Shot:
    """One random view of an actor: what `random_shot` draws."""

    expression: dict[str, float]
    pose: Pose
    gaze_deg: tuple[float, float]
    light: Light
    background: Background


def figures(seed: int) -> Iterator[Figure]:
    """Measure everything; about 4 minutes on one core."""
    yield from start_figures()
    warm_up()
    first = FIRST_SEED + int(np.random.default_rng((seed, 0xAC7)).integers(1 << 30))
    yield from speed_figures(first)
    yield from flicker_figures(first)
    yield from background_figures(first)
    yield from face_figures(first)
    yield from identity_figures(first + ACTORS)
    yield from motion_figures(first + ACTORS + VIEWED_ACTORS)


def random_expression(rng: np.random.Generator) -> dict[str, float]:
    """A face in conversation: lips, mouth corners, cheeks, brows and lids move or rest by chance.

    Of movements that pull against each other (a smile and a frown, wide eyes and a blink) one is
    drawn; pairs of left and right differ a little.
    """
    choices = (
        (0.5, ("jaw_open",)),
        (0.5, ("smile", "smile", "smile", "frown")),
        (0.4, ("pucker", "funnel", "press", "stretch")),
        (0.3, ("upper_up", "lower_down", "puff", "sneer")),
        (0.5, ("brow_up", "brow_down", "brow_up_in")),
        (0.5, ("blink", "squint", "wide")),
    )
    drawn: dict[str, float] = {}
    for chance, names in choices:
        if rng.random() < chance:
            name, weight = rng.choice(names), float(rng.uniform(0.1, 1.0))
            if f"{name}_l" in EXPRESSIONS:
                drawn[f"{name}_l"], drawn[f"{name}_r"] = weight * rng.uniform(0.8, 1.0, 2)
            else:
                drawn[str(name)] = weight
    return drawn


def random_shot(rng: np.random.Generator, reach: float = 1.0) -> Shot:
    """Yaw within 30, pitch 15 and roll 10 degrees times `reach`; any expression, light and place."""
    yaw, pitch, roll = reach * rng.uniform(-1, 1, 3) * (30, 15, 10)
    return Shot(
        random_expression(rng),
        Pose(yaw, pitch, roll),
        tuple(rng.uniform(-10, 10, 2)),
        Light.sample(int(rng.integers(1 << 31))),
        Background.sample(int(rng.integers(1 << 31))),
    )


def take(renderer: Renderer, actor: Actor, shot: Shot) -> Frame:
    """Render a shot."""
    return renderer.render(
        actor, shot.expression, shot.pose, shot.gaze_deg, shot.light, shot.background
    )


def eye_distance_px(landmarks_px_L2: np.ndarray) -> float:
    """Distance between the outer corners of the eyes."""
    return float(np.linalg.norm(landmarks_px_L2[36] - landmarks_px_L2[45]))


def find(frame: Frame, upsample: int) -> faces.Face | None:
    """The HOG detection that is the actor's face: its centre lies within 0.6 eye distances."""
    centre = frame.landmarks_px_L2[27:].mean(0)
    for face in faces.detect_hog(frame.image_HW3, upsample):
        x0, y0, x1, y1 = face.box_px
        off = np.hypot((x0 + x1) / 2 - centre[0], (y0 + y1) / 2 - centre[1])
        if off < 0.6 * eye_distance_px(frame.landmarks_px_L2):
            return face
    return None


def start_figures() -> Iterator[Figure]:
    """From a fresh Python to the first frame, without and with numba's cache."""
    script = (
        "import time; wall = time.perf_counter()\n"
        "from lab.actors import warm_up; warm_up()\n"
        "print(time.process_time(), time.perf_counter() - wall)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "OMP_NUM_THREADS": "1"}
        for name, bar_s in (("cold", 20.0), ("cached", 3.0)):
            run = subprocess.run(
                [sys.executable, "-c", script],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            processor_s, wall_s = map(float, run.stdout.split())
            yield Figure(
                f"import and warm-up, {name}, s", processor_s, bar_s, "<=", f"wall {wall_s:.1f} s"
            )


def speed_figures(first: int, count: int = 24) -> Iterator[Figure]:
    """Frames with their ground truth per second, a different pose and expression each."""
    actors = [Actor(Identity.sample(first + k)) for k in range(4)]
    for size_px, bar in ((256, 45), (128, 110)):
        renderer = Renderer(size_px)
        seconds = []
        for actor in actors:
            rng = np.random.default_rng(first)
            background = Background.sample(first)
            for k in range(count + 2):
                shot = dataclasses.replace(random_shot(rng), background=background)
                started = time.process_time()
                take(renderer, actor, shot)
                if k >= 2:  # the first frames prepare textures and background
                    seconds.append(time.process_time() - started)
        yield Figure(
            f"frames/s at {size_px} px",
            1 / float(np.median(seconds)),
            bar,
            ">=",
            f"median of {len(seconds)} frames of {len(actors)} actors, one thread",
        )


def flicker_figures(first: int, count: int = 16) -> Iterator[Figure]:
    """A still head under a light that moves 2 degrees a frame.

    The flow-warped error must not exceed the light's own change, the plain difference between
    neighbours; and the change must be steady: each frame close to the mean of its neighbours.
    """
    from lab.metrics import flow_warp_error

    warped, change, jump = [], [], []
    renderer = Renderer(256)
    for k in range(3):
        actor = Actor(Identity.sample(first + k))
        frames = [
            renderer.render(
                actor,
                pose=Pose(8),
                light=Light(key_azimuth_deg=-15.0 + 2 * t, key_elevation_deg=25),
            )
            for t in range(count)
        ]
        images = np.stack([frame.image_HW3 for frame in frames]).astype(np.float32) / 255
        mask = frames[0].parts_HW > 0
        warped.append(flow_warp_error([f.image_HW3 for f in frames], [mask] * count))
        change.append(np.abs(np.diff(images, axis=0))[:, mask].mean())
        jump.append(np.abs(images[1:-1] - (images[:-2] + images[2:]) / 2)[:, mask].mean())
    yield Figure(
        "flow-warped error of a still head over the light's change",
        float(np.mean(warped) / np.mean(change)),
        1.2,
        "<=",
        f"{255 * np.mean(warped):.2f} against {255 * np.mean(change):.2f} levels of 255",
    )
    yield Figure(
        "frame off the mean of its neighbours, over the light's change",
        float(np.mean(jump) / np.mean(change)),
        0.6,
        "<=",
        f"{255 * np.mean(jump):.2f} levels; rounding to 8 bits alone gives 0.28",
    )


def background_figures(first: int) -> Iterator[Figure]:
    """False faces on backgrounds without an actor."""
    wrong = 0
    for k in range(BACKGROUNDS):
        image = (Background.sample(first + k).image(256) * 255 + 0.5).astype(np.uint8)
        wrong += bool(faces.detect_hog(image, 1))
    yield Figure(
        "false faces on backgrounds, %", 100 * wrong / BACKGROUNDS, 1, "<=", f"n = {BACKGROUNDS}"
    )


def face_figures(first: int) -> Iterator[Figure]:
    """Detection and landmarks at 256 and 128 px: one random shot of each of 200 actors."""
    renderers = {256: Renderer(256), 128: Renderer(128)}
    found = {size_px: np.zeros(ACTORS, bool) for size_px in renderers}
    error = {size_px: np.full((ACTORS, 68), np.nan) for size_px in renderers}
    tone = np.zeros(ACTORS)
    for k in range(ACTORS):
        actor = Actor(Identity.sample(first + k))
        tone[k] = actor.skin_tone
        shot = random_shot(np.random.default_rng((first, k)))
        for size_px, renderer in renderers.items():
            frame = take(renderer, actor, shot)
            face = find(frame, upsample=1)
            if face is None:
                continue
            found[size_px][k] = True
            guess = faces.landmarks68(frame.image_HW3, face.box_px)
            off_px = np.linalg.norm(guess - frame.landmarks_px_L2, axis=1)
            error[size_px][k] = off_px / eye_distance_px(frame.landmarks_px_L2)

    third = np.minimum((tone * len(TONES)).astype(int), len(TONES) - 1)
    for size_px, bar in ((256, 99.5), (128, 99.0)):
        hit = found[size_px]
        yield Figure(
            f"HOG finds the face at {size_px} px, %", 100 * hit.mean(), bar, ">=", f"n = {ACTORS}"
        )
        for k, name in enumerate(TONES):
            group = hit[third == k]
            yield Figure(
                f"  of them with {name} skin at {size_px} px, %",
                100 * group.mean(),
                98,
                ">=",
                f"{group.sum()} of {len(group)}",
            )
    for size_px in renderers:
        per_actor = error[size_px][found[size_px]]
        for name, points, bar in (("inner 51", slice(17, 68), 5), ("all 68", slice(0, 68), 7)):
            yield Figure(
                f"dlib's {name} points off by, at {size_px} px, % of eye distance",
                100 * float(np.median(per_actor[:, points].mean(1))),
                bar,
                "<=",
                "median over actors",
            )


def identity_figures(first: int) -> Iterator[Figure]:
    """dlib's embedding: distances within and between actors, and the threshold between them."""
    renderer = Renderer(256)
    vectors, owner = [], []
    for k in range(VIEWED_ACTORS):
        actor = Actor(Identity.sample(first + k))
        rng = np.random.default_rng((first, k))
        for _ in range(VIEWS):
            frame = take(renderer, actor, random_shot(rng, reach=0.8))
            face = find(frame, upsample=0) or find(frame, upsample=1)
            if face is not None:
                points = faces.landmarks68(frame.image_HW3, face.box_px)
                vectors.append(faces.embed(frame.image_HW3, points))
                owner.append(k)
    embedding, owner_N = np.stack(vectors), np.array(owner)
    distance = np.linalg.norm(embedding[:, None] - embedding[None], axis=2)
    upper = np.triu_indices(len(embedding), 1)
    same = (owner_N[:, None] == owner_N[None])[upper]
    within, between = distance[upper][same], distance[upper][~same]
    yield Figure(
        "dlib's embedding, same against different actor, AUC",
        area_under_curve(within, between),
        0.985,
        ">=",
        f"{len(embedding)} views of {VIEWED_ACTORS} actors",
    )
    thresholds = np.arange(0.2, 0.8, 0.005)
    balanced = [((within < t).mean() + (between >= t).mean()) / 2 for t in thresholds]
    best = int(np.argmax(balanced))
    yield Figure(
        "threshold of greatest balanced accuracy",
        float(thresholds[best]),
        detail=f"{100 * balanced[best]:.1f} %; lab.faces uses {faces.SAME_ACTOR_THRESHOLD}",
    )
    yield Figure("distance within an actor", float(within.mean()), detail=f"+- {within.std():.3f}")
    yield Figure("distance between actors", float(between.mean()), detail=f"+- {between.std():.3f}")


def area_under_curve(within: np.ndarray, between: np.ndarray) -> float:
    """Chance that a pair of one actor is nearer than a pair of two (ties count half)."""
    order = np.sort(between)
    above = len(order) - np.searchsorted(order, within, "right")
    level = np.searchsorted(order, within, "right") - np.searchsorted(order, within, "left")
    return float((above + 0.5 * level).sum() / (len(within) * len(between)))


def motion_figures(first: int) -> Iterator[Figure]:
    """Within an actor: does dlib see the mouth open and the eyes close as we told them to?"""
    renderer = Renderer(256)
    mouth, blink = [], []
    for k in range(MOVING_ACTORS):
        actor = Actor(Identity.sample(first + k))
        rng = np.random.default_rng((first, k))
        told, seen = [], []
        for _ in range(MOVES):
            jaw, lids, smile = rng.uniform(0, (1.0, 1.0, 0.6))
            expression = {"jaw_open": jaw, "smile_l": smile, "smile_r": smile}
            expression |= {"blink_l": lids, "blink_r": lids}
            pose = Pose(rng.uniform(-15, 15), rng.uniform(-8, 8))
            light = Light.sample(int(rng.integers(1 << 31)))
            frame = renderer.render(actor, expression, pose, light=light)
            face = find(frame, upsample=0) or find(frame, upsample=1)
            if face is not None:
                points = faces.landmarks68(frame.image_HW3, face.box_px)
                told.append((jaw, lids))
                seen.append((lip_gap(points), eye_aspect_ratio(points)))
        (jaw_N, lids_N), (gap_N, ratio_N) = np.transpose(told), np.transpose(seen)
        mouth.append(np.corrcoef(jaw_N, gap_N)[0, 1])
        blink.append(np.corrcoef(lids_N, ratio_N)[0, 1])
    detail = f"median of {MOVING_ACTORS} actors"
    yield Figure(
        "jaw opening against dlib's inner lips, r", float(np.median(mouth)), 0.9, ">=", detail
    )
    yield Figure(
        "blink against dlib's eye aspect ratio, -r", float(-np.median(blink)), 0.8, ">=", detail
    )


def lip_gap(points_L2: np.ndarray) -> float:
    """Mean distance between the inner lips over the eye distance."""
    gaps = np.linalg.norm(points_L2[[61, 62, 63]] - points_L2[[67, 66, 65]], axis=1)
    return float(gaps.mean() / eye_distance_px(points_L2))


def eye_aspect_ratio(points_L2: np.ndarray) -> float:
    """Height over width of the eyes' outlines, mean of both (Soukupova and Cech 2016)."""
    ratios = []
    for a in (36, 42):
        p = points_L2[a : a + 6]
        heights = np.linalg.norm(p[1] - p[5]) + np.linalg.norm(p[2] - p[4])
        ratios.append(heights / (2 * np.linalg.norm(p[0] - p[3])))
    return float(np.mean(ratios))
