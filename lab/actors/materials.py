"""Codes shared by the actor's mesh and the renderer: what a triangle is made of, and which part it is.

A material says how light meets a triangle; a part says what the label map calls it. Skin triangles
leave the part to a texture (brow, lips and beard are painted on one mesh): their code is PART_PAINTED.
"""

SKIN, EYE, TEETH, CAVITY, HAIR, CLOTH, EAR, TONGUE, GLASSES, LENS = range(10)

PARTS: tuple[str, ...] = (
    "background",
    "skin",
    "brow",
    "eye",
    "lips",
    "mouth",
    "ear",
    "hair",
    "neck",
    "torso",
    "beard",
    "glasses",
)

# Parts that make up the face mask: no neck, no ears, no hair.
FACE_PARTS: tuple[str, ...] = ("skin", "brow", "eye", "lips", "mouth", "beard", "glasses")

PART_PAINTED = 255


def part_code(name: str) -> int:
    """The label value of a part, its position in PARTS."""
    return PARTS.index(name)
