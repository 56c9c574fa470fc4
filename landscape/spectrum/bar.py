"""The bar that an iteration shows by default, at a shell and in a notebook, once it takes longer than a moment.

After the first product it says how long one takes and how many are likely to be needed; from then on the largest
values, the worst relative residual, and the time left.
"""

from types import TracebackType

from tqdm.auto import tqdm

from .eigenpairs import Ritz
from .forecast import Outlook

DELAY = 2.0  # seconds


class Bar:
    """A bar of products for ``outlook``, which it tells of every pair; only if ``shown``."""

    def __init__(self, outlook: Outlook, *, shown: bool = True, delay: float = DELAY):
        self.outlook, self._made = outlook, 0
        self._bar = tqdm(desc="eigenvalues", unit="product", disable=not shown, delay=delay, leave=False)

    def watch(self, found: Ritz) -> None:
        """Take in the pairs as they stand, and show them."""
        self.outlook.add(found)
        said = str(self.outlook) if self._made else self.outlook.forecast()
        self._bar.total = self.outlook.total
        self._bar.set_postfix_str(said, refresh=False)
        self._bar.update(found.products - self._made)
        self._made = found.products

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
