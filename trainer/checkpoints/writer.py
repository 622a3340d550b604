"""Writing checkpoints while training goes on: one at a time, in a thread, and an error is raised, never lost.

The trainer copies weights and moments to the host (a fraction of a second), hands them over and trains on; writing,
hashing and flushing take as long as they take. A second checkpoint waits for the first, so at most one copy is alive.
"""

import threading
from collections.abc import Callable

from corpus.errors import ArtifactError, ProvenderError


class CheckpointWriter:
    """Runs jobs in order; `background` False runs them at once."""

    def __init__(self, background: bool) -> None:
        self.background = background
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Start `job` when the one before is done. Raises what that one raised."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(job,), name="provender-checkpoint")
        self._thread.start()
        if not self.background:
            self.wait()

    def wait(self) -> None:
        """Until the last job is done. Raises ArtifactError when it could not write."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if (error := self._error) is not None:
            self._error = None
            if isinstance(error, OSError) and not isinstance(error, ProvenderError):
                raise ArtifactError(
                    "a checkpoint could not be written",
                    where=error.filename,
                    found=error.strerror or error,
                    todo="make room on the disk and run the same command again",
                ) from None
            raise error

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # raised again in the thread that trains
            self._error = error
