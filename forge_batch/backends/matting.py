"""Cut an object out of its background.

Three ways, by how much they can be trusted: the picture's own alpha, a learned mask (rembg), and a key of the border's colour.
Nothing here ever goes to the network: rembg would fetch a missing model file by itself, so its file is looked for first, where
rembg itself looks (U2NET_HOME, REMBG_HOME, XDG_DATA_HOME, the home folder).
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forge_batch.backends.contract import BackendInfo
from forge_batch.errors import BackendUnavailable, StageError

SOLID = 250  # alpha from which a pixel's colour is taken to be the object's own
COVERED = 128  # alpha from which a pixel belongs to the object

_LICENCES = {
    "u2netp": "Apache-2.0",
    "u2net": "Apache-2.0",
    "isnet-general-use": "Apache-2.0",
    "birefnet-general": "MIT",
    "birefnet-general-lite": "MIT",
}
MODELS = tuple(_LICENCES)


def info(model: str) -> BackendInfo:
    """Say what a learned mask was made with and under which licence."""
    fetch = f"python -c \"from rembg import new_session; new_session('{model}')\""
    return BackendInfo(model, "rembg v0.0.0 weights", _LICENCES[model], commercial=True, territory="worldwide", fetch=fetch)


def has_real_alpha(image: np.ndarray) -> bool:
    """Tell whether the alpha of an (h, w, 4) uint8 picture cuts something out: half a percent of it must be clear."""
    return float((image[..., 3] < COVERED).mean()) >= 0.005


def _rembg_sessions() -> list[Any]:
    """Load rembg's session classes without its front module.

    `import rembg` also imports pymatting, which compiles for 70 CPU seconds the first time in an environment and takes 4 on
    every later start; the sessions alone take 1.3.
    """
    spec = importlib.util.find_spec("rembg")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("no rembg", name="rembg")
    folder = Path(spec.submodule_search_locations[0]) / "sessions"
    name = "rembg_sessions"
    if name not in sys.modules:
        own = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        if own is None or own.loader is None:
            raise ModuleNotFoundError("no rembg sessions", name="rembg")
        sys.modules[name] = importlib.util.module_from_spec(own)
        try:
            own.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return list(sys.modules[name].sessions_class)


def locate(model: str) -> tuple[Any, Any, Path]:
    """Find what a learned mask needs: onnxruntime, rembg's session class, and the model's file.

    Raises:
        BackendUnavailable: One of them is missing; the hint is the command that gets it.
    """
    # rembg prints while it is imported; stdout belongs to --json
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import onnxruntime  # noqa: PLC0415 - heavy, and not everybody has it

            session_classes = _rembg_sessions()
        except ImportError as error:
            missing = error.name or "rembg"
            raise BackendUnavailable(f"removing a background needs {missing}", "pip install 'forge-batch[matting]'") from error
        session_class = next(candidate for candidate in session_classes if candidate.name() == model)
        found = session_class.resolve_existing(f"{model}.onnx")
    if found is None:
        raise BackendUnavailable(f"the background model {model} is not on this machine", info(model).fetch)
    return onnxruntime, session_class, Path(found)


@dataclass
class Matter:
    """Hold a learned mask's session, loaded once for all views of an asset."""

    model: str
    session: Any

    @classmethod
    def load(cls, model: str) -> Matter:
        """Load the model from disk.

        Raises:
            BackendUnavailable: rembg or the model's file is missing or damaged; the hint is the command that gets it.
        """
        onnxruntime, session_class, path = locate(model)
        local = type("LocalSession", (session_class,), {"download_models": classmethod(lambda *_, **__: str(path))})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # sums in one order: the same bytes on every run
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                session = local(model, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime raises classes of its own, none of them public
                raise BackendUnavailable(f"the background model {path.name} is damaged", info(model).fetch) from error
        return cls(model, session)

    def alpha(self, image: np.ndarray) -> np.ndarray:
        """Give the mask (h, w) uint8 of an (h, w, 4) uint8 sRGB picture; its alpha is not looked at.

        The networks see 320 to 1024 pixels an edge, so a mask of a larger picture has a ramp of some pixels at its rim; the
        middle of the ramp is kept and steepened, which leaves the outline at half height where it was.
        """
        from PIL import Image  # noqa: PLC0415

        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mask = np.asarray(self.session.predict(Image.fromarray(image[..., :3]))[0], np.float32) / 255.0
        steep = np.clip((mask - 0.25) / 0.5, 0.0, 1.0)
        return np.asarray(steep * steep * (3.0 - 2.0 * steep) * 255.0 + 0.5, np.uint8)


def key_alpha(image: np.ndarray, tolerance: float) -> np.ndarray:
    """Give the mask (h, w) uint8 of an object before a plain background.

    The background is what can be reached from the picture's edge through colours within `tolerance` (CIE 1976 difference in
    Lab) of the edge's median colour. A background-coloured part enclosed by the object stays.

    Raises:
        StageError: Less than three quarters of the edge have one colour, so there is no colour to key.
    """
    import cv2  # noqa: PLC0415

    lab = cv2.cvtColor(image[..., :3].astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    edge = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    color = np.median(edge, axis=0)
    plain = float((np.linalg.norm(edge - color, axis=1) <= tolerance).mean())
    if plain < 0.75:
        raise StageError(
            f"the background is not plain: only {plain:.0%} of the picture's edge has one colour",
            "cut the object out yourself, or raise remove_background.key_tolerance",
        )
    near = (np.linalg.norm(lab - color, axis=2) <= tolerance).astype(np.uint8)
    _, labels = cv2.connectedComponents(near, connectivity=4)
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    background = np.isin(labels, rim[rim > 0])
    hard = np.where(background, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(hard, (3, 3), 0))


def without_crumbs(alpha: np.ndarray) -> np.ndarray:
    """Clear parts of a guessed mask (h, w) uint8 that stand apart and have less than a 200th of the largest one's area.

    A twentieth was tried: it also took a sword whose arm the mask had faded (IoU 0.928 to 0.919).
    """
    import cv2  # noqa: PLC0415

    _, labels, statistics, _ = cv2.connectedComponentsWithStats((alpha >= COVERED).astype(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    crumbs = np.flatnonzero(areas * 200 < areas.max())
    lost = np.isin(labels, crumbs[crumbs > 0]).astype(np.uint8)
    # their soft rim lies outside the threshold, so it is cleared with them
    rim = cv2.dilate(lost, np.ones((9, 9), np.uint8)) & (alpha < COVERED)
    return np.where((lost > 0) | (rim > 0), 0, alpha).astype(np.uint8)


def decontaminate(image: np.ndarray, alpha: np.ndarray, margin: int) -> np.ndarray:
    """Give a cut-out whose colours come from inside the object, bled outwards over its rim and all of the background.

    Args:
        image: (h, w, 4) uint8 sRGB.
        alpha: (h, w) uint8.
        margin: Pixels inside the outline that may still carry background colour: 0 for a picture's own alpha. Parts thinner
            than twice that keep their own colour, or they would take that of whatever is near.

    Returns:
        (h, w, 4) uint8: every pixel's colour is that of the nearest trusted one.
    """
    import cv2  # noqa: PLC0415

    solid = (alpha >= SOLID).astype(np.uint8)
    if margin:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
        inner = cv2.erode(solid, kernel, borderValue=1)
        solid = inner | (solid & ~cv2.dilate(inner, kernel, iterations=2) & 1)
    if not solid.any():
        solid = (alpha >= COVERED).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(1 - solid, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(solid)
    source = np.zeros(labels.max() + 1, np.int64)
    source[labels[rows, columns]] = rows * image.shape[1] + columns
    color = image[..., :3].reshape(-1, 3)[source[labels]]
    return np.dstack([color, alpha])


def suspicions(alpha: np.ndarray) -> list[str]:
    """Say in words what is odd about a mask that is neither empty nor full; nothing if it looks sound."""
    covered = alpha >= COVERED
    share = float(covered.mean())
    sides = {"top": covered[0], "bottom": covered[-1], "left": covered[:, 0], "right": covered[:, -1]}
    touched = [side for side, line in sides.items() if line.any()]
    found = []
    if share < 0.01:
        found.append(f"the object covers only {share:.2%} of the picture")
    if len(touched) >= 3:
        found.append(f"the object is cut off by the picture's {', '.join(touched)}")
    return found
