"""Training: a Recipe in, a Run out. One loop for every method; see `loop.train`."""

from full_models.training.loop import train
from full_models.training.recipe import Recipe, RecipeError

__all__ = ["Recipe", "RecipeError", "train"]
