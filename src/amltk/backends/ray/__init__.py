"""Ray: the recipe, and what it opens."""

from amltk.backends.ray.recipe import Ray

__all__ = ["Ray"]
