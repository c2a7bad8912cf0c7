"""`python phase1_face_swap/train.py`: what it takes, what it leaves, what it says."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lab import checkpoint, course
from lab.actors import Actor, Identity
from lab.actors.dataset import write_clip
from lab.actors.performance import perform
from lab.face_sets import actors_fit, cut_faces, open_source, padded_size
from lab.media import read_image, write_image
from lab.recipes import RECIPES
from lab.recipes.phase1_pairs import load_command

CONSENT = "Eileen Collins, public NASA portrait, used in this test"


@pytest.fixture(scope="module")
def train() -> ModuleType:
    torch.set_num_threads(1)
    return load_command()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One small clip of each of two actors."""
    base = tmp_path_factory.mktemp("Aufnahmen für Übung 1")
    folders = []
    for identity, seed in ((20, 1), (24, 2)):
        actor = Actor(Identity.sample(identity))
        performance = perform(seed, seconds=2.0, rate_fps=5.0, speech=False)
        folders.append(write_clip(base / f"actor {identity}" / "clip", actor, performance, 96))
    return folders


@pytest.fixture()
def portraits(tmp_path: Path) -> Path:
    """A folder of pictures of a real face, from the photograph in the scikit-image wheel."""
    from skimage import data

    face = data.astronaut()[:256, 96:352]
    for i in range(9):
        shade = np.clip(face * (0.8 + 0.04 * i), 0, 255).astype(np.uint8)
        write_image(tmp_path / "portraits" / f"{i}.png", shade)
    write_image(tmp_path / "portraits" / "wall.png", np.full((128, 128, 3), 90, np.uint8))
    return tmp_path / "portraits"


def flags(source: Path, target: Path, out: Path, *more: str) -> list[str]:
    paths = ["--source", str(source), "--target", str(target), "--out", str(out)]
    return [*paths, "--batch", "4", "--epochs", "1", "--precision", "float32", *more]


def test_run_trains_saves_shows_and_goes_on(
    train: ModuleType, clips: list[Path], tmp_path: Path, capsys
) -> None:
    from lab.provenance import verify

    out = tmp_path / "läufe" / "a"
    assert train.main(flags(clips[0], clips[1].parent, out, "--impl", "solution")) == 0
    said = capsys.readouterr().out
    assert "autoencoder: reference" in said and "10 samples" in said
    assert {p.name for p in out.iterdir()} == {
        "checkpoint.pt",
        "config.json",
        "curve.png",
        "log.jsonl",
        "preview.png",
    }
    preview = read_image(out / "preview.png")
    assert min(preview.shape[:2]) >= 5 * 64, "5 rows of 5 faces of 64 px"
    assert verify(out / "preview.png").manifest.state == "trusted"
    stored = checkpoint.load(out / "checkpoint.pt")
    assert stored.config["preset"] == "quick" and stored.config["faces"] == [10, 10]
    assert "--source" in stored.provenance["command"]
    module = course.load("phase1_face_swap/autoencoder", "solution")
    model = module.FaceSwapAutoencoder.from_checkpoint(stored.state, stored.config)
    assert float((model.colours_23[0] - model.colours_23[1]).abs().max()) > 0.01
    rgb, _ = model.swap(torch.rand(1, 3, 64, 64))
    assert rgb.shape == (1, 3, 64, 64)

    again = [*flags(clips[0], clips[1], out, "--resume"), "--epochs", "2"]
    assert train.main(again) == 0
    lines = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


def test_second_run_in_the_same_folder_is_refused(
    train: ModuleType, clips: list[Path], tmp_path: Path, capsys
) -> None:
    checkpoint.save(tmp_path / "checkpoint.pt", {}, {}, {})
    assert train.main(flags(*clips, tmp_path)) == 2
    assert "add --resume, or choose another --out" in capsys.readouterr().err


def test_dry_run_writes_nothing(
    train: ModuleType, clips: list[Path], tmp_path: Path, capsys
) -> None:
    assert train.main(flags(*clips, tmp_path / "out", "--dry-run")) == 0
    assert not (tmp_path / "out").exists()
    assert "nothing was written" in capsys.readouterr().out


def test_pictures_of_a_person_need_consent(
    train: ModuleType, clips: list[Path], portraits: Path, tmp_path: Path, capsys
) -> None:
    command = flags(portraits, clips[1], tmp_path / "out", "--dry-run")
    assert train.main(command) == 2
    assert "--consent" in capsys.readouterr().err
    assert train.main([*command, "--consent", CONSENT]) == 0


def test_find_sees_a_photographed_face_and_none_on_a_wall(
    train: ModuleType, portraits: Path
) -> None:
    detector, encoder, autoencoder = train.load_exercises("solution")
    find = train.finder(detector)

    def align(points: np.ndarray, size_px: int) -> np.ndarray:
        return encoder.align(points, "whole", size_px)

    faces = cut_faces(open_source(portraits), 64, find, align, encoder.crop)
    assert len(faces) == 9 and faces.skipped == 1
    assert faces.crops_N4PP.shape == (9, 4, padded_size(64), padded_size(64))
    assert faces.crops_N4PP.dtype == torch.uint8
    middle = faces.crops_N4PP[:, :, 30:42, 30:42]
    assert int(middle[:, 3].min()) == 255, "the mask covers the middle of the face"
    assert autoencoder.mean_colour(faces.crops_N4PP)[0] > 0.3


def test_clip_faces_are_cut_with_their_true_masks(train: ModuleType, clips: list[Path]) -> None:
    _, encoder, _ = train.load_exercises("solution")

    def align(points: np.ndarray, size_px: int) -> np.ndarray:
        return encoder.align(points, "whole", size_px)

    source = open_source(clips[0].parent)
    assert source.identity_seed == 20 and source.count == 10
    half = cut_faces(source, 64, lambda frame: None, align, encoder.crop, limit=5, fewest=1)
    assert len(half) == 5, "taken evenly"
    share = float((half.crops_N4PP[:, 3] > 127).float().mean())
    assert 0.2 < share < 0.7


def test_actors_fit_of_an_actor_with_itself_is_the_identity(train: ModuleType) -> None:
    _, encoder, _ = train.load_exercises("solution")

    def align(points: np.ndarray, size_px: int) -> np.ndarray:
        return encoder.align(points, "whole", size_px)

    np.testing.assert_allclose(actors_fit(20, 20, 64, align), np.eye(3), atol=1e-9)
    there, back = (actors_fit(*pair, 64, align) for pair in ((20, 24), (24, 20)))
    scale = float(np.sqrt(np.linalg.det(there[:2, :2])))
    assert 0.7 < scale < 1.4 and abs(scale - 1) > 1e-3
    np.testing.assert_allclose(there @ back, np.eye(3), atol=0.3)


@pytest.mark.parametrize("what", ["missing", "empty", "text", "two people"])
def test_unusable_input_is_one_clear_line(
    train: ModuleType, clips: list[Path], tmp_path: Path, what: str, capsys
) -> None:
    source, message = tmp_path / "nothing", "does not exist"
    if what == "empty":
        source.mkdir()
        message = "neither clips nor pictures"
    elif what == "text":
        source = tmp_path / "notes.mp4"
        source.write_text("no video", encoding="utf-8")
        message = "notes.mp4"
    elif what == "two people":
        import shutil

        for clip in clips:
            shutil.copytree(clip, source / clip.parent.name)
        message = "clips of 2 people"
    assert train.main(flags(source, clips[1], tmp_path / "out", "--consent", CONSENT)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")


def test_help_opens_with_an_example_and_a_bad_flag_names_itself(train: ModuleType, capsys) -> None:
    assert train.main(["--source", "a", "--target", "b", "--out", "c", "--epoch", "3"]) == 2
    assert "--epoch" in capsys.readouterr().err
    script = Path(train.__file__)
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True
    )
    assert "Example:\n  python phase1_face_swap/train.py" in done.stdout
    assert done.stdout.index("Example:") < done.stdout.index("options:")


def test_recipes_train_only_on_training_identities_and_apart() -> None:
    for recipe in RECIPES.values():
        if not hasattr(recipe, "source_seed"):
            continue
        assert 0 <= recipe.source_seed < 10_000 and 0 <= recipe.target_seed < 10_000
        assert recipe.source_seed != recipe.target_seed
        seeds = [set(recipe.performance_seeds(who)) for who in (0, 1)]
        assert not seeds[0] & seeds[1], "both actors would perform the same scene"
        assert max(seeds[0] | seeds[1]) < 1_000_000, "those from there on are held out"
