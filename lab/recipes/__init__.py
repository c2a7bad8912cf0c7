"""Recipes of the shipped weights: all that is needed to train each of them again.

A recipe has a `name` and `train(out, minutes) -> Path`; the command is
`python -m lab train-reference NAME`.
"""

from lab.recipes.phase1_embedding import EMBEDDING
from lab.recipes.phase1_pairs import PAIRS

RECIPES = {recipe.name: recipe for recipe in (*PAIRS, EMBEDDING)}
