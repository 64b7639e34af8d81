"""Faster second derivatives of convolutional critics, without a change to the critic.

A gradient penalty differentiates ``∇ₓ D(x)`` by the weights. torch's own second derivatives waste much of that time,
in two places that this module replaces while a critic is evaluated:

* a convolution's input gradient is linear in the weight and in what comes from above, so its derivatives are a
  convolution and a weight gradient, for which there are fast kernels; torch takes a slow general path;
* ReLU and leaky ReLU are piecewise linear: their second derivative is zero. torch sends a tensor of zeros back
  through every layer below (weight gradients included), instead of nothing.

The numbers are the same (up to the order of summation). What is not intercepted works as ever.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Geometry = tuple[list[int], list[int], list[int], int]
"""Stride, padding, dilation, groups."""


class SecondOrder(TorchFunctionMode):
    """The context in which a critic is evaluated whose input gradient will be differentiated again.

    ``taking_slope`` is set while that input gradient is taken: weight gradients are not wanted then, and the custom
    functions below have no other way to know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taking_slope = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace the calls that have a faster second derivative, and pass on all others."""
        kwargs = kwargs or {}
        replacement = _REPLACED.get(func)
        found = replacement(self, *args, **kwargs) if replacement is not None else None
        return func(*args, **kwargs) if found is None else found


def _conv2d(
    mode: SecondOrder,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    if input.ndim != 4 or isinstance(padding, str) or torch.compiler.is_compiling():
        return None
    device = input.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        input, weight, bias = input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    geometry = (_pair(stride), _pair(padding), _pair(dilation), groups)
    result: Tensor = _Conv2d.apply(input, weight, bias, geometry, mode)  # type: ignore[no-untyped-call]
    return result


def _leaky_relu(
    mode: SecondOrder, input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor | None:
    # its backward reads the sign off the result, which a negative slope would flip
    if inplace or negative_slope < 0 or torch.compiler.is_compiling():
        return None
    result: Tensor = _LeakyRelu.apply(input, negative_slope)  # type: ignore[no-untyped-call]
    return result


def _relu(mode: SecondOrder, input: Tensor, inplace: bool = False) -> Tensor | None:
    return _leaky_relu(mode, input, 0.0, inplace)


_REPLACED: dict[Any, Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    functional.leaky_relu: _leaky_relu,
    functional.relu: _relu,
    torch.relu: _relu,
}


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _conv_gradients(grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, wanted: list[bool]) -> Any:
    """Return torch's own gradients of a convolution by its input, weight and bias, those that are wanted."""
    stride, padding, dilation, groups = geometry
    bias_sizes = [weight.shape[0]] if wanted[2] else None
    return torch.ops.aten.convolution_backward(
        grad, input, weight, bias_sizes, stride, padding, dilation, False, [0, 0], groups, wanted
    )


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, mode: SecondOrder
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.geometry, ctx.mode = geometry, mode
        return torch.conv2d(input, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        input, weight = ctx.saved_tensors
        by_input, by_weight, by_bias = ctx.needs_input_grad[:3]
        grad_input = grad_weight = grad_bias = None
        if by_input:
            grad_input = _ConvInputGradient.apply(grad, weight, input.shape, ctx.geometry)  # type: ignore[no-untyped-call]
        if (by_weight or by_bias) and not ctx.mode.taking_slope:
            wanted = [False, by_weight, by_bias]
            _, grad_weight, grad_bias = _conv_gradients(grad, input, weight, ctx.geometry, wanted)
        return grad_input, grad_weight, grad_bias, None, None


class _ConvInputGradient(torch.autograd.Function):
    """∂/∂x of a convolution, as a function of what comes from above and of the weight: linear in each."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, weight: Tensor, input_shape: torch.Size, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(grad, weight)
        ctx.geometry = geometry
        # the gradient by the input needs the input's shape only
        placeholder = grad.new_empty(1).expand(input_shape)
        result: Tensor = _conv_gradients(grad, placeholder, weight, geometry, [True, False, False])[0]
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        above, weight = ctx.saved_tensors
        by_above, by_weight = ctx.needs_input_grad[:2]
        grad_above = torch.conv2d(grad, weight, None, *ctx.geometry) if by_above else None
        # <∂/∂x conv, v> = <above, conv(v, W)>: its derivative by W is a convolution's weight gradient at v
        wanted = [False, True, False]
        grad_weight = _conv_gradients(above, grad, weight, ctx.geometry, wanted)[1] if by_weight else None
        return grad_above, grad_weight, None, None


class _LeakyRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, negative_slope: float) -> Tensor:
        result = functional.leaky_relu(input, negative_slope)
        ctx.save_for_backward(result)
        ctx.negative_slope = negative_slope
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (result,) = ctx.saved_tensors
        return _LeakyReluGradient.apply(grad, result.detach(), ctx.negative_slope), None  # type: ignore[no-untyped-call]


class _LeakyReluGradient(torch.autograd.Function):
    """The gradient of leaky ReLU: linear in what comes from above, and piecewise constant in the input."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, result: Tensor, negative_slope: float) -> Tensor:
        ctx.save_for_backward(result)
        ctx.negative_slope = negative_slope
        masked: Tensor = torch.ops.aten.leaky_relu_backward(grad, result, negative_slope, True)
        return masked

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (result,) = ctx.saved_tensors
        return _LeakyReluGradient.apply(grad, result, ctx.negative_slope), None, None  # type: ignore[no-untyped-call]
