"""Phase 1, part 3: one encoder, two decoders.

Both people's faces pass through the same encoder into a short code; each person has a decoder of
their own that turns codes back into their face. The encoder sees warped faces, so the code holds
what warping leaves alone (pose, expression, light) and each decoder adds what it knows by heart
(who it is). To swap: encode the target's face, decode with the source's decoder.

Departures from the "original" model of the faceswap project (82 million parameters): a narrow
encoder and thin convolutions, so that it trains on a CPU; a learned mask as fourth output channel;
every person's average colour is divided out before encoding, so that the code cannot mistake a
dark skin for dim light (without it a swap keeps the target's skin colour); and codes change hands
in standard units, each person's mean and spread taken out and the other's put in.

Dimension key: B batch, C channels, H rows, W columns, Z code, G points of the warp grid along a
side; a trailing 2 is (x, y). Images are RGB in [0, 1]; coordinates as in lab.grid.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab import grid

SOURCE, TARGET = 0, 1  # the person whose face is put in; the person whose video it is
WARP_POINTS = 5  # G: the warp moves a grid of 5 x 5 points
NOISE = 4 + 2 * WARP_POINTS**2 + 4  # random numbers that one sample's augmentation takes


@dataclass(frozen=True)
class Config:
    """The model's shape.

    Args:
        size_px: side of a face crop; must be 8 * 2^(number of encoder channels).
        encoder_channels: after each halving, from half the crop's size down to 4 x 4.
        code: Z, numbers that describe a face without its owner.
        decoder_channels: at 4 x 4, and after each doubling up to half the crop's size.
        face_type: how crops are cut out, see face_encoder.align.
    """

    size_px: int = 128
    encoder_channels: tuple[int, ...] = (64, 128, 160, 192)
    code: int = 192
    decoder_channels: tuple[int, ...] = (192, 144, 112, 80, 48)
    face_type: str = "whole"

    def __post_init__(self) -> None:
        # Plain lists come back from a checkpoint.
        object.__setattr__(self, "encoder_channels", tuple(self.encoder_channels))
        object.__setattr__(self, "decoder_channels", tuple(self.decoder_channels))
        halvings = len(self.encoder_channels)
        if self.size_px != 8 * 2**halvings or len(self.decoder_channels) != halvings + 1:
            raise ValueError(
                f"expected size_px = 8 * 2^n for n encoder and n + 1 decoder channels, "
                f"got {self.size_px}, {halvings} and {len(self.decoder_channels)}"
            )


PRESETS = {
    "quick": Config(64, (48, 96, 128), 128, (128, 112, 96, 64)),  # 3 million parameters
    "standard": Config(),  # 6 million
    "narrow": Config(128, (48, 96, 128, 96), 128, (96, 96, 80, 64, 32)),  # 2.4 million
}


# The random warp and the other augmentations. All are functions of given noise.


def similarity_grid(noise_B4: Tensor, size_px: int, margin: float) -> Tensor:
    """Sampling grids that cut a slightly turned, scaled and shifted face out of a wider crop.

    Args:
        noise_B4: standard normal; turn (1.5 degrees), scale (1 %), shift x and y (0.75 % of the
            side). Landmarks err by about so much; more costs sharpness.
        size_px: side of what is cut out.
        margin: how much wider the crop is than what is cut out, as a factor >= 1.

    Returns:
        (B, H, W, 2): where in the wider crop each pixel is read.
    """
    # 1. Zero noise cuts out the middle.
    base_HW2 = grid.identity_grid(size_px, size_px, device=noise_B4.device) / margin
    # 2. A matrix that turns and scales, for each sample.
    angle_B, scale_B = noise_B4[:, 0] * math.radians(1.5), torch.exp(0.01 * noise_B4[:, 1])
    cos_B, sin_B = scale_B * torch.cos(angle_B), scale_B * torch.sin(angle_B)
    turn_B22 = torch.stack([cos_B, -sin_B, sin_B, cos_B], dim=-1).view(-1, 2, 2)
    # 3. Positions are rows: multiply by the transposed matrix, then shift.
    turned_BHW2 = torch.einsum("hwj,bij->bhwi", base_HW2, turn_B22)
    return turned_BHW2 + 0.015 * noise_B4[:, None, None, 2:]


def warp_grid(grid_BHW2: Tensor, noise_B2GG: Tensor, strength: float = 0.04) -> Tensor:
    """Bend sampling grids: move a few points at random, everything between them smoothly.

    Args:
        grid_BHW2: grids to bend.
        noise_B2GG: standard normal; x and y shift of each of the G x G points, corners included.
        strength: standard deviation of a shift in [-1, 1] units: 0.04 is 2 % of the side.

    Returns:
        (B, H, W, 2).

    Source: the faceswap project's random warp (5 x 5 points, 5/256 of the side).
    """
    # 1. Spread the points' shifts over all pixels; bicubic has no creases.
    size = grid_BHW2.shape[1:3]
    shift_B2HW = F.interpolate(noise_B2GG, size, mode="bicubic", align_corners=True)
    # 2. Add them; the grid keeps (x, y) last.
    return grid_BHW2 + strength * shift_B2HW.permute(0, 2, 3, 1)


def light_gain(noise_B4: Tensor) -> Tensor:
    """Random exposure (10 %) and tint (3 % a channel) as factors, (B, 3, 1, 1)."""
    # 1. Factors are drawn as logarithms: 10 % brighter is as likely as 10 % darker.
    return torch.exp(0.1 * noise_B4[:, :1] + 0.03 * noise_B4[:, 1:])[:, :, None, None]


def augment(
    crops_B4HW: Tensor, noise_BN: Tensor, size_px: int, strength: float = 0.04
) -> tuple[Tensor, Tensor, Tensor]:
    """Make one training batch of one person's crops.

    Args:
        crops_B4HW: RGB and mask, uint8, wider than the face crops by a margin.
        noise_BN: standard normal, N = NOISE numbers a sample.
        size_px: side of the face crops.
        strength: of the warp.

    Returns:
        warped (B, 3, H, W): what the encoder sees; face (B, 3, H, W) and mask (B, 1, H, W): what the
        decoder shall make of it. All in [0, 1].
    """
    similar_B4, warp_B50, light_B4 = noise_BN.split([4, NOISE - 8, 4], dim=1)
    crops = crops_B4HW.float() / 255
    # 1. The face, turned, scaled and shifted a little; and the same bent.
    margin = (crops.shape[-1] - 1) / (size_px - 1)
    grid_BHW2 = similarity_grid(similar_B4, size_px, margin)
    bent_BHW2 = warp_grid(grid_BHW2, warp_B50.view(-1, 2, WARP_POINTS, WARP_POINTS), strength)
    straight_B4HW = grid.sample(crops, grid_BHW2)
    # 2. Both in the same random light, which the code has to carry.
    gain_B311 = light_gain(light_B4)
    warped = (grid.sample(crops[:, :3], bent_BHW2) * gain_B311).clamp(0, 1)
    face = (straight_B4HW[:, :3] * gain_B311).clamp(0, 1)
    return warped, face, straight_B4HW[:, 3:]


# The model.


class Encoder(nn.Module):
    """A face crop to its code. Recommended names: convs, dense."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = (12, *config.encoder_channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1)
            for i in range(len(channels) - 1)
        )
        self.dense = nn.Linear(channels[-1] * 16, config.code)

    def forward(self, faces_B3HW: Tensor) -> Tensor:
        """(B, 3, H, W), colour divided out, to (B, Z)."""
        # 1. Fold 2 x 2 pixels into channels: a quarter of the positions, nothing lost.
        x = F.pixel_unshuffle(faces_B3HW - 0.5, 2)
        # 2. Halve until 4 x 4 are left.
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
        # 3. Where things are matters: keep the positions for the dense layer.
        return self.dense(x.flatten(1))


class Upscale(nn.Module):
    """Double the image: make four times the channels, then lay each four out as 2 x 2 pixels.

    Source: Shi et al. 2016 (sub-pixel convolution).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        # 1. Convolve, activate, rearrange.
        return F.pixel_shuffle(F.leaky_relu(self.conv(x_BCHW), 0.1), 2)


class Decoder(nn.Module):
    """What one person's face looks like. Recommended names: ups, detail, last."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.ups = nn.ModuleList(
            Upscale(channels[i], channels[i + 1]) for i in range(len(channels) - 1)
        )
        # Convolutions treat all places alike; this remembers what belongs where, at 16 x 16.
        self.detail = nn.Parameter(torch.zeros(1, channels[2], 16, 16))
        self.last = nn.Conv2d(channels[-1], 16, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, 4, 4) to face (B, 3, H, W) and mask (B, 1, H, W), both in (0, 1)."""
        # 1. Double up to half the size.
        for i, up in enumerate(self.ups):
            x_BCHW = up(x_BCHW)
            if i == 1:
                x_BCHW = x_BCHW + self.detail
        # 2. The last doubling gives the pixels; three channels are the face, the fourth its mask.
        pixels_B4HW = torch.sigmoid(F.pixel_shuffle(self.last(x_BCHW), 2))
        return pixels_B4HW[:, :3], pixels_B4HW[:, 3:]


def start_lively(layer: nn.Module) -> None:
    """Draw a layer's first weights so that signals keep their size from layer to layer.

    PyTorch's default shrinks them to 0.6 a layer; after twelve layers all faces look alike to the
    model, and it learns nothing but the average for a long time.

    Source: He et al. 2015 (Delving Deep into Rectifiers).
    """
    # 1. Variance 2 / inputs, corrected for the leak of the activation; no bias.
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(layer.weight, a=0.1)
        nn.init.zeros_(layer.bias)


class FaceSwapAutoencoder(nn.Module):
    """One encoder, two decoders.

    Args:
        config: the shape.
        colours_23: average face colour of source and target in (0, 1], see `mean_colour`. They are
            stored with the weights.
    """

    def __init__(self, config: Config, colours_23: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.size_px = config.size_px
        self.encoder = Encoder(config)
        self.dense = nn.Linear(config.code, 16 * config.decoder_channels[0])
        self.decoders = nn.ModuleList([Decoder(config), Decoder(config)])
        colours_23 = torch.full((2, 3), 0.5) if colours_23 is None else colours_23
        self.register_buffer("colours_23", colours_23.clone())
        self.register_buffer("code_mean_2Z", torch.zeros(2, config.code))
        self.register_buffer("code_spread_2Z", torch.ones(2, config.code))
        self.apply(start_lively)

    def encode(self, faces_B3HW: Tensor, who: int) -> Tensor:
        """Describe pose, expression and light.

        Args:
            faces_B3HW: crops of one person, in [0, 1].
            who: SOURCE or TARGET.

        Returns:
            (B, Z).
        """
        # 1. Divide the person's average colour out, so that an average face is mid-grey.
        neutral_B3HW = 0.5 * faces_B3HW / self.colours_23[who].view(1, 3, 1, 1)
        # 2. What is left depends on the light, and goes through the shared encoder.
        return self.encoder(neutral_B3HW)

    def translate(self, code_BZ: Tensor, of: int, to: int) -> Tensor:
        """Turn one person's code into another's: as far from the mean, counted in spreads.

        The encoder learns to leave out who it sees only in part: both people's codes form clouds
        of one shape, a little apart. If both did similar things, moving one cloud onto the other
        removes what is left.

        Args:
            code_BZ: from `encode`.
            of, to: SOURCE or TARGET.

        Returns:
            (B, Z).
        """
        # 1. Standard units by the one's statistics, back by the other's.
        standard_BZ = (code_BZ - self.code_mean_2Z[of]) / self.code_spread_2Z[of]
        return standard_BZ * self.code_spread_2Z[to] + self.code_mean_2Z[to]

    @torch.no_grad()
    def track_codes(self, code_BZ: Tensor, who: int, share: float = 0.01) -> None:
        """Let the remembered mean and spread of a person's codes follow a batch by a small share."""
        # 1. Mean; spread as the root of the mean square distance from the remembered mean.
        code_BZ, mean_Z, spread_Z = (
            code_BZ.float(),
            self.code_mean_2Z[who],
            self.code_spread_2Z[who],
        )
        mean_Z.lerp_(code_BZ.mean(0), share)
        square_Z = spread_Z.square().lerp(((code_BZ - mean_Z) ** 2).mean(0), share)
        spread_Z.copy_(square_Z.sqrt().clamp_min(1e-3))

    def decode(self, code_BZ: Tensor, who: int) -> tuple[Tensor, Tensor]:
        """Draw a person's face from a code: face (B, 3, H, W) and mask (B, 1, H, W) in (0, 1)."""
        # 1. Shared: from the code back to a small image.
        x = F.leaky_relu(self.dense(code_BZ), 0.1).view(len(code_BZ), -1, 4, 4)
        # 2. Own: from there to the face.
        return self.decoders[who](x)

    def forward(
        self, source_B3HW: Tensor, target_B3HW: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Reconstruct both people: ((face, mask) of the source, (face, mask) of the target)."""
        # 1. Each through the shared encoder; in training, take notes on the codes.
        codes = [self.encode(source_B3HW, SOURCE), self.encode(target_B3HW, TARGET)]
        if self.training:
            for who, code_BZ in enumerate(codes):
                self.track_codes(code_BZ, who)
        # 2. And each through the own decoder.
        return self.decode(codes[SOURCE], SOURCE), self.decode(codes[TARGET], TARGET)

    def swap(self, faces_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Put the source's face in place of the target's.

        Args:
            faces_B3HW: crops of the target, in [0, 1].

        Returns:
            The source's face (B, 3, H, W) in the target's pose, expression and light, and the mask
            (B, 1, H, W) of where both people show face; all in (0, 1).

        Raises:
            ValueError: if the crops have another size than the model's.
        """
        size = (3, self.size_px, self.size_px)
        if faces_B3HW.ndim != 4 or faces_B3HW.shape[1:] != size:
            raise ValueError(f"expected crops (B, {size}), got {tuple(faces_B3HW.shape)}")
        # 1. Encode as the target, decode as the source.
        code_BZ = self.encode(faces_B3HW, TARGET)
        face_B3HW, source_mask_B1HW = self.decode(self.translate(code_BZ, TARGET, SOURCE), SOURCE)
        # 2. Where the target has hair, the source's cheek has no business: both must have face.
        target_mask_B1HW = self.decode(code_BZ, TARGET)[1]
        return face_B3HW, source_mask_B1HW * target_mask_B1HW

    def settings(self) -> dict[str, Any]:
        """What `from_checkpoint` needs to build this model again; plain types."""
        return asdict(self.config)

    @classmethod
    def from_checkpoint(
        cls, state: Mapping[str, Any], config: Mapping[str, Any]
    ) -> "FaceSwapAutoencoder":
        """Build a trained model, ready to swap.

        Args:
            state: a checkpoint's state; its "ema" weights if there are any, else its "model".
            config: a checkpoint's config; its "model" entry.
        """
        model = cls(Config(**config["model"]))
        model.load_state_dict(state.get("ema", state["model"]))
        return model.eval().requires_grad_(False)


def mean_colour(crops_B4HW: Tensor) -> Tensor:
    """A person's average face colour over many pictures; (3,) in [0, 1].

    Args:
        crops_B4HW: RGB and mask, uint8.

    Raises:
        ValueError: if all masks are empty.
    """
    # 1. Sum inside the masks, in pieces: all crops as float32 would need four times the memory.
    total_3, weight = torch.zeros(3, dtype=torch.float64), 0.0
    for piece_B4HW in crops_B4HW.split(64):
        mask_B1HW = piece_B4HW[:, 3:].double() / 255
        total_3 += (piece_B4HW[:, :3] / 255 * mask_B1HW).sum((0, 2, 3))
        weight += float(mask_B1HW.sum())
    if weight == 0:
        raise ValueError("expected at least one pixel of face, got empty masks")
    # 2. No channel may be zero: colours are divided by it.
    return (total_3 / weight).clamp(0.05, 1).float()


# The losses.


def loss_weight(mask_B1HW: Tensor, outside: float = 0.05) -> Tensor:
    """How much each pixel counts: the face and a soft rim fully, the surroundings a little.

    Args:
        mask_B1HW: face mask in [0, 1].
        outside: weight far from the face; above 0, so that the picture round the mask is sane.

    Returns:
        (B, 1, H, W) in [outside, 1 + outside].
    """
    # 1. Widen the mask by some pixels: work on a quarter of the size, it is soft anyway.
    small = F.max_pool2d(F.avg_pool2d(mask_B1HW, 4), 3, stride=1, padding=1)
    # 2. Back to full size, with a soft edge.
    return F.interpolate(small, mask_B1HW.shape[2:], mode="bilinear", align_corners=True) + outside


def weighted_l1(a_BCHW: Tensor, b_BCHW: Tensor, weight_B1HW: Tensor) -> Tensor:
    """Mean absolute difference where the weight is; a scalar >= 0."""
    # 1. Average over channels, then over pixels by weight.
    difference_B1HW = (a_BCHW - b_BCHW).abs().mean(1, keepdim=True)
    return (difference_B1HW * weight_B1HW).sum() / weight_B1HW.sum()


def box_mean(x_BCHW: Tensor, window: int, stride: int = 1) -> Tensor:
    """Means over square windows that lie inside; along y, then along x, which is faster."""
    x_BCHW = F.avg_pool2d(x_BCHW, (window, 1), (stride, 1))
    return F.avg_pool2d(x_BCHW, (1, window), (1, stride))


def ssim_map(a_BCHW: Tensor, b_BCHW: Tensor, window: int = 7, stride: int = 1) -> Tensor:
    """Structural similarity of each window.

    Args:
        a_BCHW, b_BCHW: in [0, 1].
        window: side of the windows in pixels, odd.
        stride: step between windows in pixels; a loss does well with every second one.

    Returns:
        (B, C, H', W') in [-1, 1], 1 where equal; H' = (H - window) // stride + 1.

    Source: Wang et al. 2004; uniform window and sample covariance as in scikit-image.
    """
    # 1. Local means, squares and products, all at once.
    a, b = a_BCHW, b_BCHW
    means = box_mean(torch.cat([a, b, a * a, b * b, a * b], dim=1), window, stride)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = means.chunk(5, dim=1)
    # 2. Sample variances and covariance.
    sample = window**2 / (window**2 - 1)
    variance_a = sample * (mean_aa - mean_a**2)
    variance_b = sample * (mean_bb - mean_b**2)
    covariance = sample * (mean_ab - mean_a * mean_b)
    # 3. How alike are the means, and how alike the structures?
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return luminance * structure


def weighted_dssim(a_B3HW: Tensor, b_B3HW: Tensor, weight_B1HW: Tensor, window: int = 7) -> Tensor:
    """(1 - SSIM) / 2 of the brightness, where the weight is; a scalar in [0, 1]."""
    # 1. Structure is in the brightness; the L1 loss sees to the colours.
    luma_3 = a_B3HW.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    a_B1HW, b_B1HW = ((x * luma_3).sum(1, keepdim=True) for x in (a_B3HW, b_B3HW))
    # 2. A window counts as much as its central pixel.
    similarity = ssim_map(a_B1HW, b_B1HW, window, stride=2)
    half = window // 2
    weight = weight_B1HW[:, :, half : -half or None : 2, half : -half or None : 2]
    return ((1 - similarity) / 2 * weight).sum() / weight.sum()


def reconstruction_losses(
    face_B3HW: Tensor, mask_B1HW: Tensor, true_face_B3HW: Tensor, true_mask_B1HW: Tensor
) -> dict[str, Tensor]:
    """What a reconstruction costs: "l1", "dssim", "mask" and their weighted sum, "loss"."""
    # 1. Pixels and structure near the face, the mask everywhere.
    weight_B1HW = loss_weight(true_mask_B1HW)
    l1 = weighted_l1(face_B3HW, true_face_B3HW, weight_B1HW)
    dssim = weighted_dssim(face_B3HW, true_face_B3HW, weight_B1HW)
    mask = (mask_B1HW - true_mask_B1HW).abs().mean()
    # 2. All three are of the order of 0.1 at first; L1 weighs most, since it carries the light.
    return {"loss": 3 * l1 + 2 * dssim + mask, "l1": l1, "dssim": dssim, "mask": mask}
