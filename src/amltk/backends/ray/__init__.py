"""Ray: the recipe, and the executor that it opens. Ray itself is imported with the latter."""

from typing import TYPE_CHECKING

from amltk.backends.lazily import imported_when_asked
from amltk.backends.ray.recipe import Ray

if TYPE_CHECKING:
    from amltk.backends.ray.executor import RayExecutor
else:
    __getattr__ = imported_when_asked(
        __name__, {"RayExecutor": f"{__name__}.executor"}, engine="ray", extra="ray"
    )

__all__ = ["Ray", "RayExecutor"]
