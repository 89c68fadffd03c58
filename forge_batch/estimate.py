"""Say how long a task will take, before it runs: log-normal seconds, learned from what past tasks took.

Pure. What is known before anything was measured is `stage.cost(params)`, a median that was measured once or read in a
README; from there the estimates shrink towards this project's own history. The seconds of tasks of one kind are
log-normal, so their logarithms are normal with unknown mean and variance, and the conjugate prior is the
normal-inverse-gamma (Murphy, Conjugate Bayesian analysis of the Gaussian distribution, 2007, section 6.3). With n
logarithms of mean x and sum of squares ss about it:

    kappa = KAPPA + n            mu   = (KAPPA log(median) + n x) / kappa
    alpha = ALPHA + n / 2        beta = ALPHA SPREAD^2 + ss / 2 + KAPPA n (x - log(median))^2 / (2 kappa)

The next logarithm is Student's t with 2 alpha degrees of freedom about mu, scaled by sqrt(beta (kappa + 1) / (alpha kappa));
p50 and p90 are its quantiles.

A kind is a stage, its model, and the value of its cost function, which names just those params that drive the cost. The median
a kind starts from is its cost times a factor that is learned, by the same rule, from all kinds of its stage on that device.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from forge_batch.backends.catalog import GPU_NEEDS
from forge_batch.jobs import TaskRecord
from forge_batch.plan import Task, method_of, model_of
from forge_batch.stage import Cost, Device, Stage
from forge_batch.stages import STAGES

KAPPA = 0.25
"""How many tasks the prior median is worth: medians are wrong by a factor of e^(SPREAD / sqrt(KAPPA)) = 1.5 and more."""
ALPHA = 1.0
"""Half of how many tasks the prior spread is worth."""
SPREAD = 0.2
"""Prior spread of the logarithm of seconds within a kind: nine of ten tasks take less than 1.3 medians."""
WORKER_START = 4.0
"""Seconds until a fresh GPU worker can begin (process, CUDA context, kernels of the bakes); a guess until measured."""
Z90 = 1.2815515655446004

MAP_BYTES = {"normal_map": 3.0, "base_color_map": 0.9, "orm_map": 0.8, "package": 5.5, "occlusion_map": 0.4}
"""Bytes a texel on disk, measured on the examples: files of images shrink."""
OTHER_BYTES = {"cutouts": 17e6, "source_mesh": 33e6, "mesh": 3e6, "lods": 1e6, "hulls": 3e4, "rig": 3e6, "preview": 8e5}
"""Bytes of what does not grow with the texture, measured on the examples."""


@dataclass(frozen=True)
class Seconds:
    """Be a log-normal duration.

    Attributes:
        p50: Median, seconds.
        p90: Nine of ten lie below, seconds.
        shared: Correlation of the logarithms of two durations with this same estimate, 0..1: nobody knows the median of their
            kind, and if it is too low it is too low for both.
    """

    p50: float
    p90: float
    shared: float = 0.0

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.log(self.p90 / self.p50) / Z90 if self.p50 > 0 else 0.0

    @property
    def mean(self) -> float:
        return self.p50 * math.exp(self.sigma**2 / 2)


NOTHING = Seconds(0.0, 0.0)


def total(parts: Iterable[Seconds]) -> Seconds:
    """Add log-normal durations: the log-normal with the mean and variance of the sum (Fenton 1960, Wilkinson).

    Equal parts count as one kind and are correlated by `shared`; different ones are independent.
    """
    counts = Counter(part for part in parts if part.p50 > 0)
    mean = sum(part.mean * n for part, n in counts.items())
    if mean == 0:
        return NOTHING
    variance = sum(
        part.mean**2 * (n * math.expm1(part.sigma**2) + n * (n - 1) * math.expm1(part.shared * part.sigma**2))
        for part, n in counts.items()
    )
    sigma = math.sqrt(math.log1p(variance / mean**2))
    median = mean * math.exp(-(sigma**2) / 2)
    return Seconds(median, median * math.exp(Z90 * sigma))


@dataclass
class _Logs:
    """Keep what the rule needs of a series of logarithms."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self.squares += step * (value - self.mean)

    def center(self, prior: float) -> float:
        """Give the posterior mean, from a prior mean."""
        return (KAPPA * prior + self.n * self.mean) / (KAPPA + self.n)

    def predict(self, median: float) -> Seconds:
        """Give the predictive quantiles of the next one, from a prior median in seconds."""
        from scipy.special import stdtrit  # noqa: PLC0415 - a dry run must start fast

        prior = math.log(median)
        kappa, alpha = KAPPA + self.n, ALPHA + self.n / 2
        beta = ALPHA * SPREAD**2 + self.squares / 2 + KAPPA * self.n * (self.mean - prior) ** 2 / (2 * kappa)
        scale = math.sqrt(beta * (kappa + 1) / (alpha * kappa))
        center = self.center(prior)
        return Seconds(math.exp(center), math.exp(center + float(stdtrit(2 * alpha, 0.9)) * scale), 1 / (kappa + 1))


@dataclass(frozen=True)
class Calibration:
    """Be how well past tasks were foretold.

    Attributes:
        tasks: How many were foretold and are done.
        under_p90: Share of them that took less than their p90; 0.9 is right.
        error: Median of how far the p50 was off, relative to what was taken.
    """

    tasks: int
    under_p90: float
    error: float


def calibration(records: Iterable[TaskRecord], stages: Sequence[Stage[Any]] = STAGES) -> Calibration | None:
    """Hold what was foretold against what was taken; None if nothing was foretold yet.

    Stages meant for a GPU that ran without one do not count, since nobody foretold that; nor do the seconds for loading models
    and starting workers, which have estimates of their own.
    """
    by_name = {stage.name: stage for stage in stages}
    taken = []
    for record in records:
        own = record.gpu_seconds - record.load_seconds - record.start_seconds if record.gpu_seconds else record.seconds
        misplaced = not record.gpu and record.stage in by_name and by_name[record.stage].device == "gpu"
        if record.state == "done" and record.expected and record.expected[0] > 0 and own > 0 and not misplaced:
            taken.append((own, *record.expected))
    if not taken:
        return None
    return Calibration(
        len(taken),
        sum(own <= p90 for own, _, p90 in taken) / len(taken),
        median(abs(p50 - own) / own for own, p50, _ in taken),
    )


Family = tuple[str, str]  # what is done, on which GPU model (or "cpu")
Kind = tuple[Family, str, float]  # family, model or method, prior seconds


@dataclass
class Estimator:
    """Predict from history. Made by `from_records`; `Estimator()` knows the priors alone.

    Attributes:
        gpu_model: Model of the GPU that GPU tasks are predicted for.
    """

    gpu_model: str = ""
    _kinds: defaultdict[Kind, _Logs] = field(default_factory=lambda: defaultdict(_Logs))
    _families: defaultdict[Family, _Logs] = field(default_factory=lambda: defaultdict(_Logs))
    _bytes: defaultdict[tuple[str, str], _Logs] = field(default_factory=lambda: defaultdict(_Logs))
    _known: dict[tuple[Kind, float], Seconds] = field(default_factory=dict)
    _answers: dict[tuple[str, str, float], Seconds] = field(default_factory=dict)

    @classmethod
    def from_records(
        cls, records: Iterable[TaskRecord], gpu_model: str | None = None, stages: Sequence[Stage[Any]] = STAGES
    ) -> Estimator:
        """Learn from the outcomes of past tasks, of any assets; failed ones and those without params teach nothing.

        Args:
            records: Oldest first.
            gpu_model: Model of the GPU to predict for; left out, the one that was used last.
            stages: Where the prior costs come from.
        """
        records = list(records)
        by_name = {stage.name: stage for stage in stages}
        last = next((record.gpu for record in reversed(records) if record.gpu), "")
        estimator = cls(last if gpu_model is None else gpu_model)
        for record in records:
            stage = by_name.get(record.stage)
            if stage is not None and record.state == "done":
                estimator.learn(record, stage)
        return estimator

    def learn(self, record: TaskRecord, stage: Stage[Any]) -> None:
        """Take in the outcome of one task."""
        for artifact in record.outputs:
            if artifact.bytes > 0:
                self._bytes[record.stage, artifact.slot].add(math.log(artifact.bytes))
        try:
            params = stage.params.model_validate(record.params)
        except ValueError:
            return  # written by a version with other params
        model = model_of(params)
        if record.gpu_seconds > 0:
            self._add(_load_kind(model, record.gpu), record.load_seconds)
            self._add(_start_kind(record.gpu), record.start_seconds)
            own = record.gpu_seconds - record.load_seconds - record.start_seconds
            self._add(_kind(stage.name, method_of(params), stage.cost(params), "gpu", record.gpu), own)
        elif not record.gpu:
            self._add(_kind(stage.name, method_of(params), stage.cost(params), "cpu"), record.seconds)
        self._known.clear()
        self._answers.clear()

    def _add(self, kind: Kind, seconds: float) -> None:
        if seconds > 0 and kind[-1] > 0:
            self._kinds[kind].add(math.log(seconds))
            self._families[kind[0]].add(math.log(seconds / kind[-1]))

    def _predict(self, kind: Kind) -> Seconds:
        family, _, median = kind
        if median <= 0:
            return NOTHING
        factor = self._families[family].center(0.0) if family in self._families else 0.0
        if (kind, factor) not in self._known:
            self._known[kind, factor] = self._kinds.get(kind, _Logs()).predict(median * math.exp(factor))
        return self._known[kind, factor]

    def cpu(self, task: Task) -> Seconds:
        """Give the seconds on this machine's CPU; nothing for a task that needs a GPU to run at all."""
        asked = task.stage.name, task.method, -task.cost.cpu
        if asked not in self._answers:
            self._answers[asked] = self._predict(_kind(task.stage.name, task.method, task.cost, "cpu"))
        return self._answers[asked]

    def gpu(self, task: Task) -> Seconds:
        """Give the seconds on the GPU with its model loaded; nothing for a task that needs no GPU."""
        if task.device == "cpu":
            return NOTHING
        asked = task.stage.name, task.method, task.cost.gpu
        if asked not in self._answers:
            self._answers[asked] = self._predict(_kind(task.stage.name, task.method, task.cost, "gpu", self.gpu_model))
        return self._answers[asked]

    def of(self, task: Task) -> Seconds:
        """Give the seconds on the device that the task is meant for."""
        return self.gpu(task) if task.device == "gpu" else self.cpu(task)

    def cold_start(self, backend: str = "") -> Seconds:
        """Give the seconds until a fresh GPU worker has that model loaded; without a model, until it can bake."""
        return total([self._predict(_start_kind(self.gpu_model)), self.switch(backend)])

    def switch(self, backend: str) -> Seconds:
        """Give the seconds to load that model in a worker that is already at work."""
        return self._predict(_load_kind(backend, self.gpu_model))

    def disk(self, tasks: Iterable[Task]) -> int:
        """Give the median of the bytes that these tasks of one asset will leave on disk."""
        tasks = list(tasks)
        asked = next((task.params.model_dump() for task in tasks if task.stage.name == "unwrap"), {})
        texels = asked.get("texture_size", 2048) ** 2 * asked.get("atlases", 1)
        return sum(self._slot_bytes(task.stage.name, slot.name, texels) for task in tasks for slot in task.stage.outputs)

    def _slot_bytes(self, stage: str, slot: str, texels: int) -> int:
        prior = math.log(_prior_bytes(slot, texels))
        return round(math.exp(self._bytes.get((stage, slot), _Logs()).center(prior)))


def _kind(stage: str, method: str, cost: Cost, device: Device, gpu: str = "") -> Kind:
    return (stage, gpu if device == "gpu" else "cpu"), method, round(cost.gpu if device == "gpu" else cost.cpu, 6)


def _load_kind(model: str, gpu: str) -> Kind:
    return ("load", gpu), model, GPU_NEEDS[model].load if model in GPU_NEEDS else 0.0


def _start_kind(gpu: str) -> Kind:
    return ("start", gpu), "", WORKER_START


def _prior_bytes(slot: str, texels: int) -> float:
    if slot in MAP_BYTES or slot.endswith("_map"):
        return MAP_BYTES.get(slot, 0.1) * texels
    return OTHER_BYTES.get(slot, 1e4)
