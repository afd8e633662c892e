"""The emulator, with every archive unpacked once: `python -m local.launcher` stands in for `python -m ministack`.

The emulator unpacks a function's code and its layers anew for each worker, more than a thousand files that have to go
again when it stops. Here the first worker of an archive unpacks it, and every other gets links to what lies there.
Lambda shows functions the same: files of their own that they share with nobody and cannot change.
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
    """An archive whose content is linked to where it was unpacked first."""

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """Links to each top-level entry of the archive, in `path`."""
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
    """Have the emulator's workers share what they unpack."""
    assert lambda_runtime.zipfile is zipfile, "another version of the emulator unpacks another way"
    errors = {"BadZipFile": zipfile.BadZipFile, "LargeZipFile": zipfile.LargeZipFile}
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=SharedArchive, LargeFileError=zipfile.LargeZipFile, **errors)


if __name__ == "__main__":
    share_archives()
    main()
