"""Files for ParaView, read back with meshio."""

import numpy as np
import pytest

from figures import interactive, vtk
from figures.views import views
from tests.figure_tables import made_up, write

meshio = pytest.importorskip("meshio")


@pytest.fixture(scope="module")
def frame():
    frame = made_up(seeds=2)["surface"].query("kind == 'plane' and beta > -0.5")
    return frame.assign(stderr=0.02, rise_stderr=0.01).reset_index(drop=True)


def test_a_file_holds_the_tables_numbers_at_their_places(frame, tmp_path):
    write(tmp_path, {"surface": frame})
    assert interactive.main([str(tmp_path), "--vtk"]) == 0
    folder = tmp_path / "figures" / "vtk"
    assert len(list(folder.iterdir())) == 2 * 2 * 3
    mesh = meshio.read(folder / "surface-random-tet-train-draw-0-seed-1-sdt.vtu")
    rows = frame.query("method == 'sdt' and loss == 'tet' and seed == 1").sort_values(["beta", "alpha"])
    np.testing.assert_allclose(mesh.points, rows[["alpha", "beta", "value"]])
    np.testing.assert_allclose(mesh.point_data["loss"], rows["value"])
    np.testing.assert_allclose(mesh.point_data["accuracy"], rows["accuracy"])
    np.testing.assert_allclose(mesh.point_data["stderr"], 0.02)
    centre = rows.query("alpha == 0 and beta == 0")["value"].item()
    np.testing.assert_allclose(mesh.point_data["rise"], rows["value"] - centre, atol=1e-15)


def test_cells_are_the_grids_squares_counterclockwise(frame):
    points, cells, _ = vtk.sheet(views(frame)[0])
    alphas, betas = (np.unique(points[:, axis]) for axis in (0, 1))
    corners = points[cells][:, :, :2]
    x, y = corners[..., 0], corners[..., 1]
    area = 0.5 * (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(1)
    assert (area > 0).all()
    assert area.sum() == pytest.approx(np.ptp(alphas) * np.ptp(betas))
    assert len(cells) == (len(alphas) - 1) * (len(betas) - 1)


def test_infinite_and_missing_points_stay_so_in_the_data(frame):
    broken = frame.query("method == 'sdt' and loss == 'sdt' and seed == 0").reset_index(drop=True)
    broken.loc[[3, 7], "value"] = np.inf, np.nan
    (one,) = views(broken)
    points, _, data = vtk.sheet(one)
    infinite, missing = np.isinf(data["loss"]), np.isnan(data["loss"])
    assert (infinite.sum(), missing.sum()) == (1, 1)
    np.testing.assert_array_equal(data["finite"] == 0, infinite | missing)
    finite = data["loss"][data["finite"] == 1]
    assert points[infinite, 2] == finite.max()
    assert points[missing, 2] == finite.min()
