"""Cut each view's object out of its background.

First of all stages: every generator wants to know what in a picture is the object, and a shared cut-out means that the same
outline is carved, textured and later judged. A picture that comes with real transparency is believed; else a learned mask is
used, else (only if the manifest allows it) a key of the border's colour. Which one it was stands in the metrics and in the
cut-outs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forge_batch.artifacts import CUTOUTS, IMAGES
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.stage import Cost, Metrics, Stage, StageContext, StageParams

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from forge_batch.backends.matting import Matter

VIEWS = ("front", "right", "back", "left")
FULL = 0.995  # share of the picture from which a mask counts as full


class Params(StageParams):
    """Say how an object is told from its background."""

    method: Literal["auto", "alpha", "rembg", "key"] = Field(
        default="auto",
        description="auto: the picture's own alpha, else rembg, else (if allow_key) the border's colour; or one of them.",
    )
    model: Literal["u2netp", "u2net", "isnet-general-use", "birefnet-general", "birefnet-general-lite", "birefnet"] = Field(
        default="u2netp",
        description="Model of rembg, or birefnet, which is fetched on its own; all of these may be used commercially.",
    )
    allow_key: bool = Field(
        default=False, description="Let auto fall back on keying out the border's colour: right only for plain backgrounds."
    )
    key_tolerance: float = Field(
        default=12.0,
        gt=0,
        le=100,
        description="Difference from the border's colour that is still background, CIE Lab units, 0-100.",
    )


class _Cutter:
    """Choose a way of cutting for each view, loading the learned model at most once."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.matter: Matter | None = None

    def cut(self, path: Path) -> tuple[str, np.ndarray]:
        """Give the method used and the cut-out (h, w, 4) of one picture."""
        from forge_batch.backends import matting
        from forge_batch.ops.image import read_image

        image, _ = read_image(path)
        method = self.params.method
        if method == "auto" and matting.has_real_alpha(image):
            method = "alpha"
        if method == "alpha" and not matting.has_real_alpha(image):
            hint = "cut the object out, or set remove_background.method to auto"
            raise StageError(f"{path.name} has no transparency to cut along", hint)
        if method == "auto":
            method = self._fallback(path.name)
        if method == "alpha":
            return method, matting.decontaminate(image, image[..., 3], 0)
        if method == "key":
            return method, matting.decontaminate(image, matting.without_crumbs(self._key(path.name, image)), 1)
        return method, matting.decontaminate(image, matting.without_crumbs(self._learned().alpha(image)), 2)

    def _learned(self) -> Matter:
        from forge_batch.backends.matting import Matter

        if self.matter is None and self.params.model == "birefnet":
            from forge_batch.backends import birefnet

            self.matter = Matter("birefnet", birefnet.Session.load())
        self.matter = self.matter or Matter.load(self.params.model)
        return self.matter

    def _fallback(self, name: str) -> Literal["rembg", "key"]:
        try:
            self._learned()
        except BackendUnavailable as missing:
            if self.params.allow_key:
                return "key"
            message = f"{name} has a background, and {missing.message}"
            raise BackendUnavailable(message, f"{missing.hint}, or give pictures with a transparent background") from missing
        return "rembg"

    def _key(self, name: str, image: np.ndarray) -> np.ndarray:
        from forge_batch.backends.matting import key_alpha

        try:
            return key_alpha(image, self.params.key_tolerance)
        except StageError as error:
            raise StageError(f"{name}: {error.message}", error.hint) from error


def run(context: StageContext[Params]) -> Metrics:
    """Write the cut-outs of all views."""
    from forge_batch.backends import matting
    from forge_batch.ops.image import check_image_set
    from forge_batch.ops.mesh import save_arrays

    problems = check_image_set(context.images)
    if problems:
        lines = [f"{problem.message}: {problem.hint}" for problem in problems]
        raise StageError("; ".join(lines))
    views = [view for view in VIEWS if view in context.images]
    cutter = _Cutter(context.params)
    cutouts: dict[str, np.ndarray] = {}
    methods: dict[str, str] = {}
    warnings: list[str] = []
    for index, view in enumerate(views):
        path = context.images[view]
        context.progress(index / len(views), path.name)
        methods[view], cutouts[view] = cutter.cut(path)
        alpha = cutouts[view][..., 3]
        _check(path.name, methods[view], float((alpha >= matting.COVERED).mean()))
        warnings += [f"{path.name}: {words}" for words in matting.suspicions(alpha)]
    model = None
    if cutter.matter is not None and "rembg" in methods.values():
        from forge_batch.backends import birefnet

        name = cutter.matter.model
        facts = birefnet.info() if name == "birefnet" else matting.info(name)
        model = {"name": facts.name, "licence": facts.licence}
    save_arrays(context.out(CUTOUTS), cutouts, {"methods": methods, "cameras": _cameras(context, cutouts), "model": model})
    coverage = {view: round(float((image[..., 3] >= matting.COVERED).mean()), 4) for view, image in cutouts.items()}
    return {"methods": methods, "model": model, "coverage": coverage, "warnings": warnings}


def _check(name: str, method: str, share: float) -> None:
    if share == 0.0:
        hint = "give a picture with a transparent background, or another remove_background.method"
        raise StageError(f"{name}: nothing is left after removing the background by {method}", hint)
    if share >= FULL:
        hint = "give a picture with a transparent background, or leave a margin around the object"
        raise StageError(f"{name}: the object fills {share:.0%} of the picture after removing the background by {method}", hint)


def _cameras(context: StageContext[Params], cutouts: dict[str, np.ndarray]) -> dict[str, Any]:
    """Read the image set's cameras, where it has any."""
    if "camera" not in context.images:
        return {}
    from forge_batch.ops.camera_file import read_cameras

    cameras = {view: camera for view, camera in read_cameras(context.images["camera"]).items() if view in cutouts}
    for view, camera in cameras.items():
        height, width = cutouts[view].shape[:2]
        if tuple(camera.size) != (width, height):
            written, picture = context.images["camera"].name, context.images[view].name
            message = f"{written} was written for {camera.size[0]} x {camera.size[1]} pixels, {picture} has {width} x {height}"
            raise StageError(message, "use the picture it was written for, or take it out")
    return {view: camera.to_json() for view, camera in cameras.items()}


def _revision(params: Params) -> str:
    if params.model != "birefnet":
        return ""
    from forge_batch.backends import birefnet

    return birefnet.info().revision


stage = Stage(
    name="remove_background",
    group="generation",
    version=1,
    device="cpu",
    inputs=(IMAGES,),
    outputs=(CUTOUTS,),
    params=Params,
    cost=lambda params: Cost(cpu=2.0 if params.method in {"alpha", "key"} else 6.0),
    run=run,
    revision=_revision,
)
