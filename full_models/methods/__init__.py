"""Methods: a loss with the parts it needs, each part once."""

from full_models.methods.method import Method, MethodError
from full_models.methods.registry import METHODS, MethodSpec, assemble, build

__all__ = ["METHODS", "Method", "MethodError", "MethodSpec", "assemble", "build"]
