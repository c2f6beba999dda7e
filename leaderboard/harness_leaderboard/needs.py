"""What the page, the plots and the tests of significance need beyond the core: the extra `page`."""

from __future__ import annotations

from importlib.util import find_spec

from harness.errors import UsageError

__all__ = ["need"]

_DISTRIBUTION = {"vl_convert": "vl-convert-python"}


def need(*modules: str) -> None:
    """Refuse now, with the line that installs them, when one of these modules is not installed.

    Raises:
        UsageError: names what is missing and what to type.
    """
    missing = [_DISTRIBUTION.get(name, name) for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} is not installed; page, plots and tests of significance need it. Type: pip install 'ts-harness[page]'"
        )
