"""Between points of a surface: the natural cubic spline, and its generalization to points anywhere in the plane.

    f(x) = Σᵢ cᵢ ‖x − xᵢ‖³ + a + b·x,     Σ cᵢ = 0,  Σ cᵢ xᵢ = 0,     f(xᵢ) = yᵢ

On a line it is the natural cubic spline; in the plane a polyharmonic one (Duchon 1977). It is linear in y, so that the
interpolant of a mean over examples is the mean of the examples' interpolants.
"""

import numpy as np
from jaxtyping import Float

_MOST = 3000  # points in one system of equations; with more each value is made of those nearest to it
_NEAREST = 100


def interpolated(
    points: Float[np.ndarray, "point axis"],
    values: Float[np.ndarray, "point ..."],
    places: Float[np.ndarray, "place axis"],
) -> Float[np.ndarray, "place ..."]:
    """The interpolant of every column of finite ``values`` at ``points``, at ``places``.

    Coordinates should be of one scale along all axes. Fewer points than a plane (or line) needs give their mean.
    """
    columns = values.reshape(len(points), -1)
    if np.linalg.matrix_rank(points - points[:1]) < points.shape[1]:
        found = np.broadcast_to(columns.mean(0), (len(places), columns.shape[1]))
    elif not len(places):
        found = columns[:0]
    else:
        from scipy.interpolate import RBFInterpolator  # takes long to import, and few surfaces need it

        nearest = _NEAREST if len(points) > _MOST else None
        found = RBFInterpolator(points, columns, kernel="cubic", neighbors=nearest)(places)
    return found.reshape(len(places), *values.shape[1:])
