"""The emulator, with every archive unpacked once: `python -m local.launcher` replaces `python -m ministack`.

The emulator unpacks a function's code and layers for each worker again: more than a thousand files, which it deletes
when it stops. With this launcher, the first worker of an archive unpacks it, and all others get links to these files.
For a function this is the same as on Lambda, because no function can change these files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.app import main
from ministack.core import lambda_runtime

_lock = threading.Lock()


class SharedArchive(zipfile.ZipFile):
    """An archive that is unpacked once; later extractions are links to the first."""

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """Make links in `path` to each top-level entry of the archive."""
        for entry in self._unpacked().iterdir():
            os.symlink(entry, Path(path) / entry.name)

    def _unpacked(self) -> Path:
        assert self.filename is not None
        digest = hashlib.sha256(Path(self.filename).read_bytes()).hexdigest()
        store = Path(tempfile.gettempdir()) / "unpacked" / digest
        with _lock:
            if not store.exists():
                half = store.with_suffix(".half")
                shutil.rmtree(half, ignore_errors=True)
                super().extractall(half)
                half.rename(store)
        return store


def share_archives() -> None:
    """Make the emulator's workers share unpacked archives."""
    assert lambda_runtime.zipfile is zipfile, "this version of the emulator unpacks archives differently"
    errors = {"BadZipFile": zipfile.BadZipFile, "LargeZipFile": zipfile.LargeZipFile}
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=SharedArchive, LargeFileError=zipfile.LargeZipFile, **errors)


if __name__ == "__main__":
    share_archives()
    main()
