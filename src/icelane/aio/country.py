"""The country of an address, out of an MMDB file that the operator has: MaxMind's, DB-IP's, or his own.

The file is read into memory whole, so that replacing it on the disk disturbs nobody who reads; a reload makes another
`CountryDatabase`. Needs `pip install 'icelane[geo]'`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from icelane.errors import ConfigurationError, MissingExtraError

# The databases of countries have 10 MB; this is far above those of cities.
_MAX_FILE: Final = 512 << 20


class CountryDatabase:
    """An MMDB file with `country.iso_code` in its records, or `country_code` as some vendors have it."""

    def __init__(self, file: Path, *, key: str = "lists.countries") -> None:
        """Raises ConfigurationError for the setting `key`, and MissingExtraError without the reader."""
        try:
            import maxminddb
        except ImportError:
            raise MissingExtraError("a database of countries needs maxminddb", extra="geo") from None
        try:
            if file.stat().st_size > _MAX_FILE:
                raise ConfigurationError("larger than 512 MiB, so not a database of countries", key=key, file=str(file))
            self._reader = maxminddb.open_database(file, maxminddb.MODE_MEMORY)
        except (maxminddb.InvalidDatabaseError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not an MMDB file"
            raise ConfigurationError(f"cannot be used: {reason}", key=key, file=str(file)) from None
        self._broken = (maxminddb.InvalidDatabaseError, ValueError)

    def country_of(self, host: str) -> str | None:
        """The ISO 3166-1 code of an address, None where the file does not say."""
        try:
            record = self._reader.get(host)
        except self._broken:
            return None
        if not isinstance(record, dict):
            return None
        country = record.get("country")
        found = country.get("iso_code") if isinstance(country, dict) else record.get("country_code")
        return found.upper() if isinstance(found, str) else None
