"""The jobs of a seed: what each asks of which vendor, how its user behaves, and what the vendor's records show."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.simulators.base import Simulator

VENDORS = ("linkvisual", "ims", "cloudv", "polyv")
CUT = "-cut."  # in the name of a file that the vendor serves cut, as if it were whole
RENDITION = 2  # the clarity of the HLS rendition that some jobs ask for
LONG = 600  # seconds of a recording that takes longer than the stack waits for the files of an ended recording
ROOMY, TIGHT = 900, 12  # seconds: a deadline that every job meets in spite of faults; one that long work misses

FLAWS = (
    "offline-",
    "empty-",
    "short-",
    "broken-",
    "-failing.",
    "fail-fetch",
    "_f'",
    CUT,
)  # parts of the names of work that fails


@dataclass(frozen=True)
class Plan:
    """One job and its user. Seconds are real ones."""

    seed: int
    number: int
    vendor: str
    request: Mapping[str, Any]
    deadline: int = ROOMY
    on_uncertain: str = "fail"
    #: How the job is submitted. "api"; "clicks": twice at the same time; "rule": a rule's event, delivered twice;
    #: "schedule": a firing of a schedule of the API, delivered twice; "batch": a line of the seed's batch.
    door: str = "api"
    starts_after: float = 0.0
    cancels_after: float | None = None  # two clicks
    stops_after: float | None = None  # its execution is stopped from outside
    starts_again_after: float | None = None  # StartExecution is repeated
    retries: bool = False  # two clicks when it has ended and is not SUCCEEDED

    @property
    def tight(self) -> bool:
        """Whether its work takes longer than its deadline."""
        return self.deadline == TIGHT

    @property
    def hls(self) -> bool:
        """Whether it asks for HLS renditions."""
        return "renditions" in self.request

    @property
    def flawed(self) -> bool:
        """Whether the vendor cannot deliver some of what it asks for."""
        return any(flaw in str(self.request) for flaw in FLAWS)

    @property
    def mark(self) -> str:
        return f"{self.seed}-{self.number}"

    @property
    def prefix(self) -> str:
        return f"chaos/{self.mark}"

    @property
    def body(self) -> dict[str, Any]:
        return {
            "vendor": self.vendor,
            "request": dict(self.request),
            "destination": {"prefix": self.prefix},
            "deadline_seconds": self.deadline,
            "on_uncertain": self.on_uncertain,
            "labels": {"seed": str(self.seed)},
        }


def plans(seed: int, jobs: int) -> list[Plan]:
    """The jobs of one seed; the four vendors take turns."""
    return [_plan(random.Random(f"{seed}/{number}"), seed, number) for number in range(jobs)]


def _plan(dice: random.Random, seed: int, number: int) -> Plan:
    vendor = VENDORS[(seed + number) % len(VENDORS)]
    tight = dice.random() < 0.06
    name = f"{seed}x{number}"
    requests = {"linkvisual": _camera, "ims": _uploads, "cloudv": _pull, "polyv": _sources}

    def perhaps(chance: float, most: float) -> float | None:
        return dice.uniform(0, most) if dice.random() < chance else None

    return Plan(
        seed,
        number,
        vendor,
        requests[vendor](dice, name, endless=tight),
        TIGHT if tight else ROOMY,
        on_uncertain="retrigger" if dice.random() < 0.3 else "fail",
        door=dice.choices(["api", "clicks", "rule", "schedule", "batch"], [0.4, 0.15, 0.15, 0.15, 0.15])[0],
        starts_after=dice.uniform(0, 2),
        cancels_after=perhaps(0.12, 6),
        stops_after=perhaps(0.1, 6),
        starts_again_after=perhaps(0.15, 8),
        retries=dice.random() < 0.6,
    )


def _camera(dice: random.Random, name: str, *, endless: bool) -> dict[str, Any]:
    kind = dice.choices(["camera", "offline", "empty", "short", "broken"], [0.84, 0.04, 0.04, 0.04, 0.04])[0]
    duration = 7200 if endless else dice.choice([10, 15, 20, 25, 25, 30, 45] * 2 + [LONG])  # a file of 30 s is medium
    return {"iot_id": f"{kind}-{name}", "record_duration": duration}


def _uploads(dice: random.Random, name: str, *, endless: bool) -> dict[str, Any]:
    count = 22 if dice.random() < 0.03 else dice.randint(1, 3)  # 22: more than one call may have
    ends = dice.choices(["good", "failing", "cut"], [0.92, 0.04, 0.04], k=count)
    kind = "endless" if endless else "upload"
    return {"upload_urls": [f"https://media.example.com/{kind}/{name}-{n}-{end}.mp4" for n, end in enumerate(ends)]}


def _pull(dice: random.Random, name: str, *, endless: bool) -> dict[str, Any]:
    hls = dice.random() < 0.2
    marks = [dice.choices(["whole", "fail-fetch"], [0.94, 0.06])[0] for _ in range(1 if hls else dice.randint(1, 3))]
    kind = "odd-status" if endless else "pull"
    return {
        **({"renditions": [RENDITION]} if hls else {}),
        "files": [
            {"fetch_url": f"https://media.example.com/{kind}/{name}-{n}-{mark}.mp4"} for n, mark in enumerate(marks)
        ],
    }


def _sources(dice: random.Random, name: str, *, endless: bool) -> dict[str, Any]:
    count = dice.randint(1, 3)
    kind = "endless" if endless else "source"
    return {"vids": [f"{kind}{name}n{n}_{'f' if dice.random() < 0.04 else 's'}" for n in range(count)]}


def prepare(simulator: Simulator, some: list[Plan]) -> None:
    """Set the simulator for the work that must fail, or never end."""
    endless = [[0.0, "PROCESSING" if simulator.vendor == "ims" else "PROCESS"]]
    names = [
        name
        for plan in some
        if plan.vendor == simulator.vendor
        for name in plan.request.get("upload_urls", plan.request.get("vids", ()))
    ]
    simulator.downloads.cut_mark = CUT
    match simulator.vendor:
        case "ims":
            simulator.settings.failing |= {url: "DOWNLOAD_FAIL" for url in names if "-failing." in url}
            simulator.settings.scripts |= {url: endless for url in names if "/endless/" in url}
        case "polyv":
            simulator.settings.failing_vids += [vid for vid in names if vid.endswith("_f")]
            simulator.settings.scripts |= {vid: endless for vid in names if vid.startswith("endless")}
        case "linkvisual":
            simulator.settings.file_seconds = 30
        case "cloudv":
            simulator.settings.always_transcode = True


@dataclass
class AtTheVendor:
    """What a vendor's own records show about one job."""

    tasks: int = 0  # how often the piece of work was started that was started most often
    hashes: Counter[str] = field(default_factory=Counter)  # SHA-256 of every file it serves for the job


def at_the_vendor(plan: Plan, simulator: Simulator) -> AtTheVendor:
    """The vendor's records of a job. They are found by the names in its request; no two jobs have the same names."""
    started: Counter[str] = Counter()
    hashes: Counter[str] = Counter()
    expected = simulator.expected
    for piece, refs in _pieces(plan, simulator):
        started[piece] += 1
        for ref in refs:
            if ref in expected:
                hashes[str(expected[ref]["sha256"])] = 1
    return AtTheVendor(max(started.values(), default=0), hashes)


def _hls_ref(fetch_url: str) -> str:
    """The simulator's name of the root playlist of a rendition."""
    return f"{fetch_url}#{RENDITION}/360p/index.m3u8"


def segments(plan: Plan, simulator: Simulator) -> set[str]:
    """SHA-256 of every segment that the vendor serves for a job with HLS renditions."""
    homes = tuple(_hls_ref(file["fetch_url"]).rpartition("/")[0] for file in plan.request["files"])
    served = simulator.expected.items()
    return {str(facts["sha256"]) for ref, facts in served if ref.startswith(homes) and ref.endswith(".ts")}


def _pieces(plan: Plan, simulator: Any) -> Iterator[tuple[str, list[str]]]:
    """(piece of work, refs of its files) for every time that the vendor started it."""
    request = plan.request
    match plan.vendor:
        case "linkvisual":
            for recording in simulator.recordings.values():
                if recording.device == request["iot_id"]:
                    yield recording.device, [file.name for file in recording.files]
        case "ims":
            for job in simulator.tasks:
                if job.url in request["upload_urls"]:
                    yield job.url, [job.url]
        case "cloudv":
            wanted = {file["fetch_url"] for file in request["files"]}
            for task in simulator.tasks:
                for item in task.items:
                    if item.fetch_url in wanted:
                        yield item.fetch_url, [_hls_ref(item.fetch_url) if plan.hls else f"{item.fetch_url}#1"]
        case "polyv":
            for task in simulator.tasks:
                if task.vids == request["vids"]:
                    yield ",".join(task.vids), task.vids
