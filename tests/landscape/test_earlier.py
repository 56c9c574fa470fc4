"""Scripts written for the modules' earlier names go on."""

import landscape


def test_earlier_names_are_the_same_modules():
    from landscape.lanczos import lanczos  # type: ignore[import-not-found]
    from landscape.parameters import Parameters  # type: ignore[import-not-found]
    from landscape.surface import grid, surface  # type: ignore[import-not-found]

    assert lanczos is landscape.lanczos
    assert Parameters is landscape.Parameters
    assert (grid, surface) == (landscape.grid, landscape.surface)
