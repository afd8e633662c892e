"""Faults planted in the real code, one at a time, to see that the simulation finds them.

Each is a small change of the source of one function, made at run time: what a tired engineer might write. `wanted` is
within how many runs it is to be found.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Planted:
    """`where` is `module:function` or `module:Class.method` of the domain; `old` stands in its source exactly once."""

    name: str
    where: str
    old: str
    new: str
    wanted: int = 200


PLANTED = (
    Planted(
        "two triggers at once: the intent is no part of the condition",
        "store.job_rows:job_as_read",
        "& as_read(JobRow.intent, job.intent)",
        "",
    ),
    Planted(
        "the job's generation is no part of the condition",
        "store.job_rows:job_as_read",
        "& as_read(JobRow.generation, job.generation, 1)",
        "",
    ),
    Planted(
        "the job's status is no part of the condition",
        "store.job_rows:job_as_read",
        "(JobRow.status == job.status)",
        "JobRow.pk.exists()",
    ),
    Planted(
        "a late end over a retry: nobody looks before the duties of an end",
        "steps.conclusion:Conclusion._check",
        "self.rt.jobs.load_at_its_end(self.job, with_files=False)",
        "pass",
    ),
    Planted(
        "rows outlive their job: no end of life is written",
        "steps.conclusion:Conclusion._announce",
        "self.rt.jobs.expire_rows(job)",
        "pass",
    ),
    Planted(
        "the retry leaves the end of life on the rows of files",
        "steps.trigger:_open_files",
        "if job.rows_expire:",
        "if False:",
    ),
    Planted(
        "the copying call is no part of the file's condition",
        "store.job_rows:file_as_read",
        "& as_read(FileRow.worker, file.worker)",
        "",
    ),
    Planted(
        "a copy that was taken over aborts its successor's upload, and forgets to look whose it is",
        "transfer.session:Session.let_go",
        "self.point.upload and self.point.upload != self._written",
        "self.point.upload",
    ),
    Planted(
        "the event is sent after the row says that it was",
        "steps.conclusion:Conclusion._announce",
        "events.announce(job)\n    now = self.rt.now()\n    clean_at = job.left_to_clean(now)\n"
        "    self.rt.jobs.change(job, now, event_sent=True, clean_at=clean_at, warnings=job.all_warnings)",
        "now = self.rt.now()\n    clean_at = job.left_to_clean(now)\n"
        "    self.rt.jobs.change(job, now, event_sent=True, clean_at=clean_at, warnings=job.all_warnings)\n"
        "    events.announce(job)",
    ),
    Planted(
        "the event is sent before the row has ended",
        "steps.finish:Closing._end",
        "now = self.rt.now()",
        "now = self.rt.now()\n"
        "    from clipferry.aws import events\n"
        "    from dataclasses import replace\n"
        "    events.announce(replace(job, status=status, finished_at=now, error=problem))",
    ),
    Planted(
        "a slot for a vendor task is not given back",
        "steps.conclusion:Conclusion._give_back",
        "give_back(self.rt, self.job)",
        "pass",
    ),
    Planted("the intent is not written before the trigger", "steps.trigger:_send", "_intend(rt, job, refs)", "pass"),
    Planted(
        "nobody looks for the work of a lost trigger",
        "steps.trigger:_trigger",
        "return _find(rt, job) if job.in_doubt else _send(rt, job)",
        "return _send(rt, job)",
    ),
    Planted(
        "an absent task is believed while its trigger may be on its way",
        "steps.trigger:_find",
        "quiet = _quiet(rt, job)",
        "quiet = 0.0",
    ),
    Planted(
        "an upload is completed over what stands there", "transfer.upload:Storage.complete", 'IfNoneMatch="*",', ""
    ),
    Planted(
        "a new job is written without a condition",
        "store.job_records:Jobs._put",
        "absent = job_row(job, **values), JobRow.pk.does_not_exist()",
        "absent = job_row(job, **values), None",
    ),
    Planted(
        "the manifest is written without a condition, after the look",
        "steps.job_manifest:write_manifest",
        "Body=body, **condition)",
        "Body=body)",
    ),
    Planted(
        "objects that no row names are not taken back",
        "steps.sweep:Sweep._clean",
        "again = self.leftovers.look(job)",
        "again = None",
    ),
    Planted(
        "the sweep does not start what was never started",
        "steps.sweep:Sweep._reconcile",
        "executions.start(job)\n        self.swept.started.append(job.job_id)",
        "pass",
    ),
    Planted(
        "a finish of an older execution ends the job",
        "steps.finish:Closing.finish",
        'if job.generation != generation:\n        return FinishResult(job, "STOP")\n    if not',
        "if not",
    ),
    Planted(
        "an ended job's files are closed as they were read, not as they are",
        "steps.conclusion:Conclusion._read_again",
        "vars(self.job).update(vars(fresh))",
        "pass",
    ),
    Planted("a retry does not open the files", "steps.trigger:_open_files", "rt.jobs.open_files(job, older)", "pass"),
    Planted(
        "uploads that crashed calls began are not looked for when a job ends",
        "steps.conclusion:Conclusion._end_uploads",
        "for upload in found:",
        "for upload in found[:0]:",
    ),
    Planted(
        "the file is called stored before its upload is complete",
        "transfer.completion:Completion.complete",
        "etag = self._storage.complete(session.ref, parts, crc)",
        "etag = ''",
    ),
)


@contextmanager
def planted(fault: Planted) -> Iterator[None]:
    """The real code with this change, for as long as it lasts."""
    module_name, _, path = fault.where.partition(":")
    module = importlib.import_module(f"clipferry.{module_name}")
    *owners, name = path.split(".")
    owner: Any = module
    for each in owners:
        owner = getattr(owner, each)
    real = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(real))
    if source.count(fault.old) != 1:
        raise LookupError(f"{fault.name}: {fault.where} has {source.count(fault.old)} times {fault.old!r}")
    made: dict[str, Any] = {}
    exec(
        compile("from __future__ import annotations\n" + source.replace(fault.old, fault.new), fault.where, "exec"),
        module.__dict__,
        made,
    )
    users = [m for m in _domain() if vars(m).get(name) is real]
    try:
        setattr(owner, name, made[name])
        for user in users:
            setattr(user, name, made[name])
        yield
    finally:
        setattr(owner, name, real)
        for user in users:
            setattr(user, name, real)


def _domain() -> list[Any]:
    import sys

    return [module for name, module in list(sys.modules.items()) if name.startswith("clipferry.")]
