"""Weights of known networks: read without running code, checked name by name, downloaded only when asked for."""

import hashlib
import sys
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from adversarium.data.cache import entry_path
from adversarium.errors import InputError, nearest
from adversarium.files import atomic_write

Network = TypeVar("Network", bound=nn.Module)

PICKLED = (".pth", ".pt", ".bin")
BLOCK = 1 << 20
TIMEOUT_SECONDS = 60
COUNTERS = "num_batches_tracked"
"""Batch norm's counter of training steps: some files have it, and nothing reads it."""


class WeightsWarning(UserWarning):
    """A local file is not the published one."""


@dataclass(frozen=True)
class Published:
    """A file of weights that others publish.

    Attributes:
        url: where it is.
        sha256: the SHA-256 of its content.
        megabytes: its size.
    """

    url: str
    sha256: str
    megabytes: int

    @property
    def filename(self) -> str:
        """The name under which it is kept: with the hash, so that no other file is taken for it."""
        name = Path(self.url).name
        return name if self.sha256[:8] in name else f"{self.sha256[:8]}-{name}"


def find_weights(name: str, weights: Path | str | None, published: Published) -> Path:
    """Return the user's file, or else the published one: from the cache, or downloaded after saying so.

    The published one is kept in ``$ADVERSARIUM_CACHE``, else ``$XDG_CACHE_HOME/adversarium``, else
    ``~/.cache/adversarium``.

    Warns:
        WeightsWarning: the user's file is another than the published one (or the same tensors, stored otherwise).

    Raises:
        InputError: there is no such file; or the download fails or its content is not the published one.
    """
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise InputError(f"weights is {str(weights)!r}: there is no such file; {_where(name, published)}")
        _compare(name, path, published)
        return path
    path = entry_path(None, "weights").parent / published.filename
    if not path.is_file():
        print(f"{name}: downloading {published.megabytes} MB from {published.url} to {path}", file=sys.stderr)
        try:
            _download(published, path)
        except OSError as error:  # URLError is one
            raise InputError(
                f"{name}: its weights cannot be downloaded to {path} ({error}); {_where(name, published)}"
            ) from error
    return path


def _compare(name: str, path: Path, published: Published) -> None:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
    digest = hashed.hexdigest()
    if digest != published.sha256:
        warnings.warn(
            WeightsWarning(
                f"{path} has the SHA-256 {digest[:8]}..., and the published file {published.sha256[:8]}...: unless it "
                f"holds the same tensors, numbers by {name} compare with no others"
            ),
            stacklevel=4,
        )


def _where(name: str, published: Published) -> str:
    return f"get the file from {published.url} and give it: --weights {name}=PATH, or weights=PATH"


def _download(published: Published, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with urllib.request.urlopen(published.url, timeout=TIMEOUT_SECONDS) as source, atomic_write(path) as file:
        while block := source.read(BLOCK):
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != published.sha256:
            raise InputError(
                f"{published.url} has the SHA-256 {digest.hexdigest()}, not the published {published.sha256}: "
                "it was cut short or replaced, and is not kept"
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors. A pickle may hold tensors only: nothing in it is run.

    Raises:
        InputError: it is not what its name says, it is damaged, or it holds something else than named tensors.
    """
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", *PICKLED):
        raise InputError(f"{path} ends with {suffix!r}: wanted a file .safetensors, {', '.join(PICKLED)}")
    try:
        if suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged pickle raises depends on which byte is wrong
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is no {suffix} file of tensors: cut short, of another kind, or a pickle with more than tensors, "
            f"which was not opened ({reason})"
        ) from error
    named = isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not named:
        raise InputError(f"{path} holds {type(content).__name__}: wanted tensors by name (a state dict)")
    return dict(content)


def open_network(make: Callable[[], Network], name: str, path: Path) -> Network:
    """Make a network and give it a file's weights, frozen and in eval mode. Nothing is drawn at random.

    Raises:
        InputError: the file cannot be read, or its tensors are not the network's.
    """
    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    load_exactly(network, read_tensors(path), name, path)
    return network.eval().requires_grad_(False)


def load_exactly(network: nn.Module, tensors: Mapping[str, Tensor], name: str, path: Path) -> None:
    """Give a network its weights: those, all of those, and no others.

    Raises:
        InputError: names the first tensor that is missing, of another shape, not finite, or not the network's.
    """
    wanted = {key: value for key, value in network.state_dict().items() if not key.endswith(COUNTERS)}
    given = {key: value for key, value in tensors.items() if not key.endswith(COUNTERS)}
    for key, value in wanted.items():
        if key not in given:
            near = nearest(key, given.keys() - wanted.keys()).replace("did you mean", "it has")
            raise InputError(f"{path} has no {key!r}{near}: it is not a file of {name}'s weights")
        found = given[key]
        if found.shape != value.shape or not found.is_floating_point():
            raise InputError(
                f"{path} has {key!r} as {found.dtype} of shape {list(found.shape)}, and {name} wants floats of shape "
                f"{list(value.shape)}: it is not a file of {name}'s weights"
            )
        if not found.isfinite().all():
            raise InputError(f"{path} has NaN or infinity in {key!r}")
    for key in given:
        if key not in wanted:
            raise InputError(f"{path} has {key!r}, which {name} has not: it is not a file of {name}'s weights")
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key in wanted:
                value.copy_(given[key])
            else:
                value.zero_()
