"""Phase 1, part 1: where are the faces? MTCNN from scratch, and a tracker that spares it work.

MTCNN looks at an image at many scales with three ever larger networks. P-Net scans every position
with a 12-pixel window and proposes boxes; R-Net (24 pixels) and O-Net (48 pixels) look again at
what is left, move the boxes, and O-Net adds five landmarks. Overlapping boxes are suppressed after
each step. Departures from the paper: none in the networks (the weights are the published ones);
boxes keep their fractions until they are cut out.

The tracker detects rarely: in between it follows each face by its 68 landmarks, and watches by
correlation with a small upright picture of the face that it still has the same thing before it.

Dimension key: B batch, C channels, H rows, W columns, N boxes, L landmarks; a trailing 2 is (x, y).
Coordinates as in lab.faces: (0, 0) is the centre of the top-left pixel; a box is its outer edges
(x0, y0, x1, y1), so the whole image is (-0.5, -0.5, W - 0.5, H - 0.5).

Source: Zhang, Zhang, Li & Qiao 2016 (Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lab import faces, mtcnn_weights
from lab.faces import Face

CELL_PX = 12  # P-Net's window
STRIDE_PX = 2  # its step


class PNet(nn.Module):
    """Proposal network: fully convolutional, so one pass looks at every 12-pixel window."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 10, 3)
        self.prelu1 = nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(10, 16, 3)
        self.prelu2 = nn.PReLU(16)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.prelu3 = nn.PReLU(32)
        self.offset = nn.Conv2d(32, 4, 1)
        self.score = nn.Conv2d(32, 2, 1)

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Score every window.

        Args:
            images_B3HW: RGB in [-1, 1] (see `normalise`), at least 12 x 12.

        Returns:
            Face probability (B, H', W') and box offsets (B, 4, H', W'), in units of the window;
            H' = ceil((H - 2) / 2) - 4, likewise W'. Cell (i, j) looks at pixels from (2i, 2j) on.
        """
        x = self.pool1(self.prelu1(self.conv1(images_B3HW)))
        x = self.prelu2(self.conv2(x))
        x = self.prelu3(self.conv3(x))
        return self.score(x).softmax(dim=1)[:, 1], self.offset(x)


class RNet(nn.Module):
    """Refinement network: one 24-pixel patch, one verdict."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 28, 3)
        self.prelu1 = nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(28, 48, 3)
        self.prelu2 = nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(48, 64, 2)
        self.prelu3 = nn.PReLU(64)
        self.dense = nn.Linear(64 * 3 * 3, 128)
        self.prelu4 = nn.PReLU(128)
        self.offset = nn.Linear(128, 4)
        self.score = nn.Linear(128, 2)

    def forward(self, patches_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Judge patches of 24 x 24, RGB in [-1, 1]: probability (B,), offsets (B, 4)."""
        x = self.pool1(self.prelu1(self.conv1(patches_B3HW)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense(x.flatten(1)))
        return self.score(x).softmax(dim=1)[:, 1], self.offset(x)


class ONet(nn.Module):
    """Output network: one 48-pixel patch; verdict, box and five landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.prelu1 = nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.prelu2 = nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.prelu3 = nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4 = nn.Conv2d(64, 128, 2)
        self.prelu4 = nn.PReLU(128)
        self.dense = nn.Linear(128 * 3 * 3, 256)
        self.prelu5 = nn.PReLU(256)
        self.offset = nn.Linear(256, 4)
        self.landmarks = nn.Linear(256, 10)
        self.score = nn.Linear(256, 2)

    def forward(self, patches_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge patches of 48 x 48, RGB in [-1, 1].

        Returns:
            Probability (B,), offsets (B, 4), landmarks (B, 10): five x, then five y, as fractions
            of the patch.
        """
        x = self.pool1(self.prelu1(self.conv1(patches_B3HW)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.pool3(self.prelu3(self.conv3(x)))
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense(x.flatten(1)))
        return self.score(x).softmax(dim=1)[:, 1], self.offset(x), self.landmarks(x)


def torch_layout(arrays: Sequence[np.ndarray]) -> list[Tensor]:
    """Turn a Keras network's arrays into the layout of the same layers in torch.

    Keras keeps a convolution as (rows, columns, in, out), torch as (out, in, rows, columns); a
    dense layer as (in, out), torch as (out, in). The first dense layer needs more care: these
    networks were first trained on transposed images, and it still reads the last feature map in the
    order (column, row, channel), where `flatten` gives (channel, row, column).

    Args:
        arrays: in definition order, as from `lab.mtcnn_weights.read`.

    Returns:
        Tensors in the same order.
    """
    tensors: list[Tensor] = []
    channels = None  # of the last feature map, until the first dense layer has been met
    for array in arrays:
        tensor = torch.from_numpy(np.array(array))
        if array.ndim == 4:
            # 1. Convolution: out and in come first.
            channels = array.shape[3]
            tensor = tensor.permute(3, 2, 0, 1)
        elif array.ndim == 2 and channels is not None:
            # 2. First dense layer: split its input into column, row, channel; reorder; join.
            side = round((array.shape[0] / channels) ** 0.5)
            tensor = tensor.reshape(side, side, channels, -1).permute(3, 2, 1, 0).flatten(1)
            channels = None
        elif array.ndim == 2:
            # 3. Any other dense layer: transpose.
            tensor = tensor.T
        else:
            # 4. Biases and PReLU slopes: one number a channel.
            tensor = tensor.flatten()
        tensors.append(tensor.contiguous())
    return tensors


def load_published(network: nn.Module, name: str) -> nn.Module:
    """Fill a network with the published weights ("pnet", "rnet", "onet") and freeze it."""
    tensors = torch_layout(mtcnn_weights.read(name))
    network.load_state_dict(dict(zip(network.state_dict(), tensors, strict=True)))
    return network.eval().requires_grad_(False)


def normalise(frames_BHW3: np.ndarray) -> Tensor:
    """uint8 RGB frames (B, H, W, 3) to the networks' range: (B, 3, H, W) float32 in (-1, 1)."""
    return (torch.from_numpy(frames_BHW3).permute(0, 3, 1, 2).float() - 127.5) / 128


def pyramid_scales(
    height_px: int, width_px: int, min_face_px: float, factor: float = 0.709
) -> list[float]:
    """The scales at which P-Net's fixed window meets faces of every size.

    Args:
        height_px, width_px: the frame's size.
        min_face_px: the smallest face to find; at the first scale it fills the 12-pixel window.
        factor: from one scale to the next, in (0, 1); 0.709 halves the area.

    Returns:
        Descending scales; the last still leaves at least 12 pixels. Empty if the frame is smaller
        than the smallest face.

    Raises:
        ValueError: if the smallest face is not positive or the factor not between 0 and 1.
    """
    if min_face_px <= 0 or not 0 < factor < 1:
        raise ValueError(
            f"expected min_face_px > 0 and 0 < factor < 1, got {min_face_px} and {factor}"
        )
    # 1. The scale at which the smallest face is as large as the window.
    scale = CELL_PX / min_face_px
    scales = []
    # 2. Shrink until the frame's shorter side no longer holds a window.
    while min(height_px, width_px) * scale >= CELL_PX:
        scales.append(scale)
        scale *= factor
    return scales


def boxes_from_cells(
    prob_HW: np.ndarray, offset_4HW: np.ndarray, scale_xy: tuple[float, float], threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn P-Net's confident cells into boxes in the frame.

    Args:
        prob_HW: face probability of each cell.
        offset_4HW: the network's correction of each cell's box.
        scale_xy: scaled size over frame size, in x and in y.
        threshold: lowest probability to keep.

    Returns:
        Boxes (N, 4) in frame pixels, not yet corrected; probabilities (N,); offsets (N, 4).
    """
    # 1. The cells above the threshold, as rows and columns.
    rows, columns = np.nonzero(prob_HW >= threshold)
    # 2. A cell's window begins at stride * cell; its outer edge lies half a pixel before.
    corner_N2 = np.stack([columns, rows], axis=1) * float(STRIDE_PX) - 0.5
    # 3. Back to the frame. Both images share their outer edge at -0.5, not their first pixel.
    scale_2 = np.asarray(scale_xy, np.float64)
    first_N2 = (corner_N2 + 0.5) / scale_2 - 0.5
    last_N2 = (corner_N2 + CELL_PX + 0.5) / scale_2 - 0.5
    return (
        np.concatenate([first_N2, last_N2], axis=1),
        prob_HW[rows, columns],
        offset_4HW[:, rows, columns].T,
    )


def overlap(box_4: np.ndarray, boxes_N4: np.ndarray, relative_to: str = "union") -> np.ndarray:
    """How much one box covers each of several others.

    Args:
        box_4: one box.
        boxes_N4: the others.
        relative_to: "union" (intersection over union) or "min" (over the smaller of the two areas,
            which is 1 for a box inside another).

    Returns:
        (N,) in [0, 1].

    Raises:
        ValueError: if `relative_to` is neither.
    """
    if relative_to not in ("union", "min"):
        raise ValueError(f'expected relative_to "union" or "min", got "{relative_to}"')
    # 1. The intersection runs from the larger first edge to the smaller last edge.
    first_N2 = np.maximum(box_4[:2], boxes_N4[:, :2])
    last_N2 = np.minimum(box_4[2:], boxes_N4[:, 2:])
    inside_N = np.prod(np.clip(last_N2 - first_N2, 0, None), axis=1)
    # 2. The two areas.
    area = np.prod(box_4[2:] - box_4[:2])
    area_N = np.prod(boxes_N4[:, 2:] - boxes_N4[:, :2], axis=1)
    # 3. Relative to what both cover together, or to the smaller.
    whole_N = area + area_N - inside_N if relative_to == "union" else np.minimum(area, area_N)
    return inside_N / np.maximum(whole_N, 1e-12)


def suppress(
    boxes_N4: np.ndarray, scores_N: np.ndarray, threshold: float, relative_to: str = "union"
) -> np.ndarray:
    """Non-maximum suppression: of boxes that overlap too much, keep the best.

    Args:
        boxes_N4: boxes.
        scores_N: their scores.
        threshold: boxes overlapping a better kept one by more than this go.
        relative_to: see `overlap`.

    Returns:
        Indices of the kept boxes, best score first.
    """
    waiting = np.argsort(-scores_N, kind="stable")
    kept = []
    while len(waiting):
        # 1. The best of those left stays.
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        # 2. Those too much like it go.
        waiting = waiting[overlap(boxes_N4[best], boxes_N4[waiting], relative_to) <= threshold]
    return np.array(kept, dtype=np.int64)


def calibrate(boxes_N4: np.ndarray, offsets_N4: np.ndarray) -> np.ndarray:
    """Move each edge by the network's offset, given in units of the box's width and height."""
    size_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    return boxes_N4 + offsets_N4 * np.concatenate([size_N2, size_N2], axis=1)


def square(boxes_N4: np.ndarray) -> np.ndarray:
    """Grow each box to a square round the same centre, on whole-pixel edges.

    Whole pixels, so that the patch that is cut out is exactly the box that is corrected later.
    """
    # 1. The side is the longer of the two.
    side_N1 = np.maximum((boxes_N4[:, 2:] - boxes_N4[:, :2]).max(axis=1, keepdims=True).round(), 1)
    # 2. The first edge lies half a side before the centre; edges between pixels end in .5.
    centre_N2 = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2
    first_N2 = np.round(centre_N2 - side_N1 / 2 + 0.5) - 0.5
    return np.concatenate([first_N2, first_N2 + side_N1], axis=1)


def cut_patches(frame_HW3: np.ndarray, boxes_N4: np.ndarray, size_px: int) -> np.ndarray:
    """Cut square boxes out and bring them to one size; what lies outside the frame is black.

    Args:
        frame_HW3: uint8 RGB.
        boxes_N4: from `square`.
        size_px: the network's input size.

    Returns:
        (N, size, size, 3) uint8.
    """
    height, width = frame_HW3.shape[:2]
    patches = np.zeros((len(boxes_N4), size_px, size_px, 3), np.uint8)
    for patch, box in zip(patches, (boxes_N4 + 0.5).astype(int), strict=True):
        # 1. The part of the box inside the frame, pasted on black.
        (x0, y0), (x1, y1) = box[:2], box[2:]
        left, right = np.clip((x0, x1), 0, width)
        top, bottom = np.clip((y0, y1), 0, height)
        if right <= left or bottom <= top:
            continue
        crop = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        part = frame_HW3[top:bottom, left:right]
        crop[top - y0 : bottom - y0, left - x0 : right - x0] = part
        # 2. Shrinking averages over areas; sampling points would alias.
        method = cv2.INTER_AREA if len(crop) > size_px else cv2.INTER_LINEAR
        patch[:] = cv2.resize(crop, (size_px, size_px), interpolation=method)
    return patches


def landmarks_in_frame(boxes_N4: np.ndarray, fractions_N10: np.ndarray) -> np.ndarray:
    """O-Net's landmarks (five x, then five y, as fractions of the box) in frame pixels: (N, 5, 2)."""
    # 1. Pair each x with its y.
    fractions_N52 = np.stack([fractions_N10[:, :5], fractions_N10[:, 5:]], axis=2)
    # 2. Scale by the box and move to its corner.
    first_N12, last_N12 = boxes_N4[:, None, :2], boxes_N4[:, None, 2:]
    return first_N12 + fractions_N52 * (last_N12 - first_N12)


class Detector(Protocol):
    """Anything that finds faces in a uint8 RGB frame, best score first."""

    def detect(self, frame_HW3: np.ndarray) -> list[Face]: ...


class MtcnnDetector:
    """The three networks in a row.

    Args:
        pnet, rnet, onet: the networks, with weights.
        min_face_px: the smallest face to find. Time goes with one over its square.
        thresholds: lowest face probability after each network.

    Source: Zhang et al. 2016; thresholds .6, .7, .7 and suppression at .5, .7, .7, .7 as in the
    authors' release.
    """

    def __init__(
        self,
        pnet: nn.Module,
        rnet: nn.Module,
        onet: nn.Module,
        min_face_px: float = 40,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
    ) -> None:
        self.pnet, self.rnet, self.onet = pnet, rnet, onet
        self.min_face_px = min_face_px
        self.thresholds = thresholds

    @classmethod
    def published(cls, min_face_px: float = 40) -> "MtcnnDetector":
        """The detector with the published weights."""
        return cls(
            load_published(PNet(), "pnet"),
            load_published(RNet(), "rnet"),
            load_published(ONet(), "onet"),
            min_face_px,
        )

    @torch.inference_mode()
    def detect(self, frame_HW3: np.ndarray) -> list[Face]:
        """Find faces and their five landmarks; best first.

        Raises:
            ValueError: if the frame is not uint8 (H, W, 3).
        """
        frame_HW3 = faces.checked_frame(frame_HW3)
        boxes_N4 = self._propose(frame_HW3)
        boxes_N4 = self._refine(frame_HW3, boxes_N4)
        return self._finish(frame_HW3, boxes_N4)

    def _propose(self, frame_HW3: np.ndarray) -> np.ndarray:
        """P-Net over the pyramid: corrected boxes (N, 4)."""
        height, width = frame_HW3.shape[:2]
        found = [(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 4)))]
        for scale in pyramid_scales(height, width, self.min_face_px):
            # 1. One level of the pyramid, and the scale that rounding to whole pixels leaves.
            size = (round(width * scale), round(height * scale))
            level_HW3 = cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA)
            prob_1HW, offset_14HW = self.pnet(normalise(level_HW3[None]))
            # 2. Its confident cells, thinned out among themselves.
            boxes, prob, offset = boxes_from_cells(
                prob_1HW[0].numpy(),
                offset_14HW[0].numpy(),
                (size[0] / width, size[1] / height),
                self.thresholds[0],
            )
            kept = suppress(boxes, prob, 0.5)
            found.append((boxes[kept], prob[kept], offset[kept]))
        # 3. All levels together, thinned out once more, then corrected.
        boxes, prob, offset = (np.concatenate(part) for part in zip(*found, strict=True))
        kept = suppress(boxes, prob, 0.7)
        return calibrate(boxes[kept], offset[kept])

    def _refine(self, frame_HW3: np.ndarray, boxes_N4: np.ndarray) -> np.ndarray:
        """R-Net on each proposal: fewer, corrected boxes (N, 4)."""
        # 1. Judge each box on a square patch.
        boxes_N4 = square(boxes_N4)
        prob_N, offset_N4 = self.rnet(normalise(cut_patches(frame_HW3, boxes_N4, 24)))
        prob, offset = prob_N.numpy(), offset_N4.numpy()
        # 2. Keep the confident ones, suppress, correct.
        sure = prob >= self.thresholds[1]
        boxes, prob, offset = boxes_N4[sure], prob[sure], offset[sure]
        kept = suppress(boxes, prob, 0.7)
        return calibrate(boxes[kept], offset[kept])

    def _finish(self, frame_HW3: np.ndarray, boxes_N4: np.ndarray) -> list[Face]:
        """O-Net on what is left: boxes, scores and landmarks."""
        # 1. Judge each box on a square patch.
        boxes_N4 = square(boxes_N4)
        outputs = self.onet(normalise(cut_patches(frame_HW3, boxes_N4, 48)))
        prob, offset, fractions = (output.numpy() for output in outputs)
        # 2. Keep the confident ones; landmarks are fractions of the box before its correction.
        sure = prob >= self.thresholds[2]
        prob, landmarks = prob[sure], landmarks_in_frame(boxes_N4[sure], fractions[sure])
        boxes = calibrate(boxes_N4[sure], offset[sure])
        # 3. Correct first, then suppress, relative to the smaller box: a face inside a face goes.
        kept = suppress(boxes, prob, 0.7, "min")
        return [
            Face(faces.as_box(boxes[i]), float(prob[i]), landmarks[i].astype(np.float32))
            for i in kept
        ]


@dataclass(frozen=True)
class DlibHogDetector:
    """dlib's HOG detector behind the same interface; quick, frontal faces."""

    upsample: int = 1
    threshold: float = 0.0

    def detect(self, frame_HW3: np.ndarray) -> list[Face]:
        return faces.detect_hog(frame_HW3, self.upsample, self.threshold)


@dataclass(frozen=True)
class DlibCnnDetector:
    """dlib's CNN detector behind the same interface; slow and steady."""

    upsample: int = 0
    threshold: float = 0.0

    def detect(self, frame_HW3: np.ndarray) -> list[Face]:
        return faces.detect_cnn(frame_HW3, self.upsample, self.threshold)


@dataclass(frozen=True)
class FallbackDetector:
    """Ask several detectors in turn; the first that finds a face answers.

    Args:
        detectors: cheapest or most trusted first.
    """

    detectors: tuple[Detector, ...]

    def detect(self, frame_HW3: np.ndarray) -> list[Face]:
        for detector in self.detectors:
            if found := detector.detect(frame_HW3):
                return found
        return []


def detect_shrunk(detector: Detector, frame_HW3: np.ndarray, longest_px: int) -> list[Face]:
    """Detect in a smaller copy of a large frame: the time goes with the area.

    Args:
        detector: finds faces.
        frame_HW3: uint8 RGB.
        longest_px: the copy's longer side; smaller frames are taken as they are.

    Returns:
        The faces, in pixels of the frame.
    """
    # 1. Shrink, if there is something to shrink.
    height, width = frame_HW3.shape[:2]
    if max(height, width) <= longest_px:
        return detector.detect(frame_HW3)
    scale = longest_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    found = detector.detect(cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA))
    # 2. Enlarge the answers about the common outer corner, which is at -0.5 in both.
    factor_2 = np.array([width / size[0], height / size[1]])
    enlarged = []
    for face in found:
        box_22 = (np.reshape(face.box_px, (2, 2)) + 0.5) * factor_2 - 0.5
        five = face.landmarks5_px
        five = None if five is None else ((five + 0.5) * factor_2 - 0.5).astype(np.float32)
        enlarged.append(Face(faces.as_box(box_22), face.score, five))
    return enlarged


@dataclass(frozen=True, eq=False)
class Track:
    """One followed face in one frame.

    Args:
        id: the same number as long as the face is followed, never used again.
        landmarks_px_L2: (68, 2) float32.
        confidence: correlation with the face's template, in [-1, 1]; 1 where it was just detected.
        template_HW: the upright face as it looked so far, from `upright_patch`.
        shift_px: how far the face moved since the frame before, (2,).
        unseen: how many detections in a row did not find it.
    """

    id: int
    landmarks_px_L2: np.ndarray
    confidence: float
    template_HW: np.ndarray
    shift_px: np.ndarray
    unseen: int = 0

    @property
    def box_px(self) -> faces.Box:
        """The box that dlib's HOG detector would draw if the face stood upright."""
        return faces.upright_box(self.landmarks_px_L2)[0]


def upright_patch(frame_HW3: np.ndarray, landmarks_px_L2: np.ndarray) -> np.ndarray:
    """A small grey picture of the upright face: (32, 32) float32, mean 0, length 1.

    The product of two such pictures, summed, is their correlation: brightness and contrast of the
    light do not count. A picture of one grey is all 0 and correlates with nothing.
    """
    # 1. Cut out at three times the size and average down, so that nothing aliases.
    crop_HW3, _ = faces.upright_crop(frame_HW3, *faces.upright_box(landmarks_px_L2), size_px=96)
    crop_HW3 = cv2.resize(crop_HW3, (32, 32), interpolation=cv2.INTER_AREA)
    patch_HW = cv2.cvtColor(crop_HW3, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # 2. Remove the mean, divide by the length.
    patch_HW -= patch_HW.mean()
    return patch_HW / max(float(np.linalg.norm(patch_HW)), 1.0)


def follow(frame_HW3: np.ndarray, track: Track, adapt: float = 0.2) -> Track:
    """Find a face again where it should be by now, without detection.

    Args:
        frame_HW3: the next frame.
        track: the face in the frame before.
        adapt: how much of the new picture enters the template, in [0, 1].
    """
    # 1. It goes on moving as it did.
    landmarks = track.landmarks_px_L2 + track.shift_px
    # 2. Fit the landmarks; if that moved the box by much, it began badly: fit again from there.
    for _ in range(2):
        before_px, roll_deg = faces.upright_box(landmarks)
        landmarks = faces.landmarks68(frame_HW3, before_px, roll_deg)
        after_px, _ = faces.upright_box(landmarks)
        moved_px = np.abs(np.subtract(after_px, before_px)).max()
        if moved_px < 0.1 * (before_px[2] - before_px[0]):
            break
    # 3. Does it still look like it? Only then may the template learn from it.
    patch_HW = upright_patch(frame_HW3, landmarks)
    confidence = float((patch_HW * track.template_HW).sum())
    template_HW = track.template_HW + adapt * max(confidence, 0.0) * (patch_HW - track.template_HW)
    return replace(
        track,
        landmarks_px_L2=landmarks,
        confidence=confidence,
        template_HW=template_HW / max(float(np.linalg.norm(template_HW)), 1e-6),
        shift_px=landmarks.mean(axis=0) - track.landmarks_px_L2.mean(axis=0),
    )


def thumbnail(frame_HW3: np.ndarray) -> np.ndarray:
    """A frame as 16 x 16 mean colours in [0, 1], to notice cuts by."""
    return cv2.resize(frame_HW3, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def is_cut(before_HW3: np.ndarray, after_HW3: np.ndarray, threshold: float = 0.12) -> bool:
    """True if two thumbnails differ so much that the scene must have changed."""
    return float(np.abs(after_HW3 - before_HW3).mean()) > threshold


def match(
    tracks: Sequence[Track], boxes_N4: np.ndarray, least_overlap: float = 0.3
) -> dict[int, int]:
    """Give each track at most one box and each box at most one track, best overlap first.

    Returns:
        Index of the box by index of the track; those without partner are missing.
    """
    # 1. All pairs that overlap enough.
    pairs = []
    for t, track in enumerate(tracks):
        overlaps_N = overlap(np.asarray(track.box_px), boxes_N4)
        pairs += [(overlaps_N[n], t, n) for n in range(len(boxes_N4))]
    # 2. Best first, each partner once.
    matched: dict[int, int] = {}
    for how_much, t, n in sorted(pairs, reverse=True):
        if how_much >= least_overlap and t not in matched and n not in matched.values():
            matched[t] = n
    return matched


class FaceTracker:
    """Follow all faces of a video, detecting only now and then.

    Detection runs while no face is followed, after a cut, when a face no longer looks like itself,
    and every `detect_every` frames (which finds newcomers and catches drift).

    Args:
        detector: finds faces.
        detect_every: frames between routine detections.
        least_confidence: below this correlation a face must be detected again or is lost. Measured
            on actors: a moving face at least 0.7, background at most 0.5.
        patience: routine detections in a row that may miss a face which still looks like itself.
        memory: frames for which a lost face keeps its id, should it come back where it was.
        detect_px: larger frames are shrunk to this longer side for detection; see `detect_shrunk`.
    """

    def __init__(
        self,
        detector: Detector,
        detect_every: int = 25,
        least_confidence: float = 0.55,
        patience: int = 2,
        memory: int = 25,
        detect_px: int = 640,
    ) -> None:
        self.detector = detector
        self.detect_every = detect_every
        self.least_confidence = least_confidence
        self.patience = patience
        self.memory = memory
        self.detect_px = detect_px
        self.tracks: list[Track] = []
        self.lost: list[int] = []  # ids that ended in the latest frame
        self.detections = 0  # frames in which the detector ran
        # Lost faces, each with the number of frames for which it is still remembered.
        self._gone: list[tuple[int, Track]] = []
        self._next_id = 0
        self._since_detection = 0
        self._thumbnail: np.ndarray | None = None

    def update(self, frame_HW3: np.ndarray) -> list[Track]:
        """Take the next frame.

        Args:
            frame_HW3: uint8 RGB; all frames of one size.

        Returns:
            The faces in it, oldest id first. `lost` then names the ids that ended here.

        Raises:
            ValueError: if the frame is not uint8 (H, W, 3).
        """
        frame_HW3 = faces.checked_frame(frame_HW3)
        before = [track.id for track in self.tracks]
        # 1. A cut ends everything.
        small_HW3 = thumbnail(frame_HW3)
        if self._thumbnail is not None and is_cut(self._thumbnail, small_HW3):
            self.tracks, self._gone = [], []
        self._thumbnail = small_HW3
        # 2. Follow each face; two that ended up on the same one are one, the older.
        self.tracks = self._distinct([follow(frame_HW3, track) for track in self.tracks])
        # 3. Detect when there is a reason.
        self._since_detection += 1
        unsure = any(track.confidence < self.least_confidence for track in self.tracks)
        if not self.tracks or unsure or self._since_detection >= self.detect_every:
            found = detect_shrunk(self.detector, frame_HW3, self.detect_px)
            self._reconcile(frame_HW3, found)
            self.detections += 1
            self._since_detection = 0
        # 4. Report.
        self.lost = [i for i in before if i not in {track.id for track in self.tracks}]
        self._gone = [(frames - 1, track) for frames, track in self._gone if frames > 1]
        return sorted(self.tracks, key=lambda track: track.id)

    def _reconcile(self, frame_HW3: np.ndarray, found: list[Face]) -> None:
        """Bring tracks and detections together."""
        landmarks = [faces.landmarks_of(frame_HW3, face) for face in found]
        boxes_N4 = np.array([faces.upright_box(points)[0] for points in landmarks]).reshape(-1, 4)
        partners = match(self.tracks, boxes_N4)
        kept = []
        for t, track in enumerate(self.tracks):
            sure = track.confidence >= self.least_confidence
            if sure and (t in partners or self._confirmed(frame_HW3, track)):
                # 1. Followed well and detected: go on as before.
                kept.append(replace(track, unseen=0))
            elif t in partners:
                # 2. Detected but not followed well: begin again from the detection.
                kept.append(self._begin(frame_HW3, landmarks[partners[t]], track.id))
            elif sure and track.unseen < self.patience:
                # 3. Followed well but not detected: detectors miss faces too.
                kept.append(replace(track, unseen=track.unseen + 1))
            else:
                # 4. Neither: lost, and remembered for a while.
                self._gone.append((self.memory, track))
        # 5. Detections without partner: faces that come back, or new ones.
        gone = [track for _, track in self._gone]
        free = [n for n in range(len(found)) if n not in partners.values()]
        back = {n: t for t, n in match(gone, boxes_N4[free]).items()}
        for position, n in enumerate(free):
            if position in back:
                track = gone[back[position]]
                self._gone = [(frames, other) for frames, other in self._gone if other is not track]
                kept.append(self._begin(frame_HW3, landmarks[n], track.id))
            else:
                kept.append(self._begin(frame_HW3, landmarks[n], self._next_id))
                self._next_id += 1
        self.tracks = self._distinct(kept)

    def _confirmed(self, frame_HW3: np.ndarray, track: Track) -> bool:
        """Ask the detector about one face again, upright: heads on their side are missed otherwise."""
        box_px, roll_deg = faces.upright_box(track.landmarks_px_L2)
        crop_HW3, _ = faces.upright_crop(frame_HW3, box_px, roll_deg, 200, margin=0.75)
        return bool(self.detector.detect(crop_HW3))

    def _begin(self, frame_HW3: np.ndarray, landmarks_px_L2: np.ndarray, id_: int) -> Track:
        template_HW = upright_patch(frame_HW3, landmarks_px_L2)
        return Track(id_, landmarks_px_L2, 1.0, template_HW, np.zeros(2, np.float32))

    @staticmethod
    def _distinct(tracks: list[Track]) -> list[Track]:
        """Drop each track that covers the same face as one with a smaller id."""
        kept: list[Track] = []
        for track in sorted(tracks, key=lambda track: track.id):
            boxes_N4 = np.array([other.box_px for other in kept]).reshape(-1, 4)
            if not (overlap(np.asarray(track.box_px), boxes_N4, "min") > 0.4).any():
                kept.append(track)
        return kept
