"""The outputs of a network's layers, in the same pass as its own."""

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from adversarium.errors import lookup, require


class Tap:
    """A network that also returns what some of its layers put out: ``tap(x) -> (output, [outputs])``.

    The layers' outputs have their graphs, in the order of ``layers``. Forward hooks read them, which are on the
    network during a call and not between calls, whether it fails or not. Calls are not to be nested, nor compiled.

    Args:
        network: any module.
        layers: names of modules in it, as in ``named_modules()``.

    Raises:
        InputError: an unknown name.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str]) -> None:
        require(not isinstance(layers, str), f"layers is {layers!r}: wanted a list of names")
        modules = {name: module for name, module in network.named_modules() if name}
        self.network, self.layers = network, tuple(layers)
        self._modules = [lookup("layer", name, modules) for name in self.layers]
        self._open = True

    def __call__(self, *inputs: Any) -> tuple[Any, list[Tensor]]:
        """Return the network's output for these inputs, and those of the layers.

        Raises:
            InputError: a layer that is not called, or called several times; one whose output is no tensor, or is
                changed in place by a later layer; a tap that was closed.
        """
        require(self._open, "this tap is closed: wanted a new one")
        seen: list[list[tuple[Any, int | None]]] = [[] for _ in self.layers]
        handles = []
        try:
            for module, outputs in zip(self._modules, seen, strict=True):
                handles.append(module.register_forward_hook(partial(_keep, outputs)))
            output = self.network(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        return output, [_only(name, outputs) for name, outputs in zip(self.layers, seen, strict=True)]

    def close(self) -> None:
        """Refuse further calls. There is nothing else to undo."""
        self._open = False

    def __enter__(self) -> "Tap":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _keep(outputs: list[tuple[Any, int | None]], module: nn.Module, inputs: Any, output: Any) -> None:
    outputs.append((output, _version(output)))


def _version(output: Any) -> int | None:
    """Return how often a tensor was changed in place, which those of inference mode do not count."""
    return output._version if isinstance(output, Tensor) and not output.is_inference() else None


def _only(name: str, outputs: list[tuple[Any, int | None]]) -> Tensor:
    times = len(outputs)
    require(times > 0, f"layer {name!r} was not called in this pass: wanted one that every pass calls")
    require(times == 1, f"layer {name!r} was called {times} times in this pass: wanted one that is called once")
    ((output, version),) = outputs
    require(isinstance(output, Tensor), f"layer {name!r} put out a {type(output).__name__}: wanted a tensor")
    unchanged = _version(output) == version
    require(unchanged, f"the output of layer {name!r} was changed in place by a later layer: wanted that layer's name")
    assert isinstance(output, Tensor)
    return output
