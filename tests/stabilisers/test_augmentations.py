"""Augmentations against exact pixel moves, readable twins and the probabilities that they promise."""

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adversarium import spec
from adversarium.errors import InputError
from adversarium.penalties import PENALTIES
from adversarium.stabilisers import _draw
from adversarium.stabilisers._colour import recolour
from adversarium.stabilisers._resample import resample
from adversarium.stabilisers.adaptive import BLIT, COLOR, GEOM, ada, transformations
from adversarium.stabilisers.apa import apa
from adversarium.stabilisers.augmentation import Augmentation
from adversarium.stabilisers.diff_augment import diffaugment
from adversarium.stabilisers.probability import AdaptiveProbability
from adversarium.stabilisers.table import AUGMENTATIONS

NAMES = sorted(AUGMENTATIONS)
ALL = (*BLIT, *GEOM, *COLOR)


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=_rng(seed), dtype=torch.float64).mul(2).sub(1).to(dtype)


def _made(name: str) -> Augmentation:
    return AUGMENTATIONS[name]() if name == "diffaugment" else AUGMENTATIONS[name](p=0.7)


# every augmentation


@pytest.mark.parametrize("name", NAMES)
def test_every_augmentation_keeps_the_protocol(name: str) -> None:
    augmentation = AUGMENTATIONS[name]()
    assert isinstance(augmentation, Augmentation)
    assert isinstance(augmentation, torch.nn.Module)
    real, fake = _images(6, 3, 12, 10), _images(6, 3, 12, 10, seed=2)
    assert augmentation.real(real, fake, _rng()).shape == real.shape
    assert augmentation.fake(fake, _rng()).shape == fake.shape
    augmentation.observe(torch.ones(6), 6)
    assert 0 <= float(augmentation.probability) <= 1
    assert spec.make(name, "augmentation", AUGMENTATIONS).state_dict().keys() == augmentation.state_dict().keys()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_same_generator_same_images_and_the_global_one_untouched(name: str, channels: int, dtype: torch.dtype) -> None:
    augmentation = _made(name)
    real, fake = _images(64, channels, 9, 9, dtype=dtype), _images(64, channels, 9, 9, dtype=dtype, seed=2)
    before = torch.get_rng_state()
    for method in (lambda rng: augmentation.real(real, fake, rng), lambda rng: augmentation.fake(fake, rng)):
        once, again = method(_rng(3)), method(_rng(3))
        assert once.dtype == dtype
        assert torch.equal(once, again)
        assert once.isfinite().all()
    assert not torch.equal(augmentation.real(real, fake, _rng(3)), augmentation.real(real, fake, _rng(4)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_reaches_the_fakes_and_not_through_real(name: str) -> None:
    augmentation = _made(name)
    real, fake = _images(16, 3, 8, 8), _images(16, 3, 8, 8, seed=2).requires_grad_()
    augmentation.fake(fake, _rng()).square().sum().backward()
    assert fake.grad is not None
    assert (fake.grad.flatten(1).norm(dim=1) > 0).all()
    assert not augmentation.real(real, fake, _rng()).requires_grad


@pytest.mark.parametrize("policy", ["b", "g", "c", "bgc"])
@pytest.mark.parametrize("channels", [1, 3])
def test_ada_has_right_derivatives_of_first_and_second_order(policy: str, channels: int) -> None:
    images = _images(2, channels, 4, 3, dtype=torch.float64).requires_grad_()

    def changed(images: Tensor) -> Tensor:
        return ada(p=1.0, policy=policy)(images, _rng(5)).sin()

    assert torch.autograd.gradcheck(changed, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(changed, (images,), fast_mode=True)


@pytest.mark.parametrize("policy", ["color", "translation", "cutout", "color,translation,cutout"])
def test_diffaugment_has_right_derivatives_of_first_and_second_order(policy: str) -> None:
    images = _images(2, 3, 4, 5, dtype=torch.float64).requires_grad_()

    def changed(images: Tensor) -> Tensor:
        return diffaugment(policy)(images, _rng(5)).sin()

    assert torch.autograd.gradcheck(changed, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(changed, (images,), fast_mode=True)


@pytest.mark.parametrize("method", ["exact", "functional"])
def test_r1_on_augmented_samples_and_through_the_augmentation(method: str) -> None:
    """R1 on T(x), and on the whole x -> D(T(x)) when the augmentation is taken as a part of the critic."""
    critic = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3 * 64, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    )
    critic.double()
    augmentation = ada(p=1.0)
    real = _images(4, 3, 8, 8, dtype=torch.float64)
    r1 = PENALTIES["r1"](gamma=2.0, method=method)
    shown = augmentation.real(real, real, _rng(6))

    def whole(samples: Tensor) -> Tensor:
        return critic(augmentation(samples, _rng(6)))[:, 0]

    values = r1(lambda samples: critic(samples)[:, 0], shown, shown, None) + r1(whole, real, real, None)
    values.sum().backward()
    hand = []
    for function, at in ((lambda samples: critic(samples)[:, 0], shown), (whole, real)):
        point = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(point).sum(), point)
        hand.append(slope.flatten(1).square().sum(1))
    torch.testing.assert_close(values, hand[0] + hand[1])
    assert critic[1].weight.grad.norm() > 0


@pytest.mark.parametrize("name", ["ada", "diffaugment"])
@pytest.mark.parametrize("shape", [(4, 7), (4, 3, 16), (4, 3, 2, 8, 8)])
def test_what_is_no_image_is_refused_and_told_what_works(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"shape \[{shape[0]}, {shape[1]}.*{name} wants images.*apa.*instance.noise"):
        AUGMENTATIONS[name]().fake(torch.zeros(shape), None)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match="unknown transformation 'xflipp'.*did you mean 'xflip'"):
        ada(policy="xflipp")
    with pytest.raises(InputError, match="unknown policy 'colour'.*did you mean 'color'"):
        diffaugment(policy="colour")
    for policy in ("", " ", "xflip,,xint"):
        with pytest.raises(InputError, match="policy is empty|unknown transformation"):
            ada(policy=policy)
        with pytest.raises(InputError, match="policy is empty|unknown policy"):
            diffaugment(policy=policy)
    for factory in (ada, apa):
        for arguments in ({"p": 1.1}, {"p": -0.1}, {"kimg": 0}, {"every": 0}, {"target": 1.0}, {"p": math.nan}):
            with pytest.raises(InputError, match=next(iter(arguments))):
                factory(**arguments)
    with pytest.raises(InputError, match="2 channels.*policy=bg"):
        ada().fake(torch.zeros(2, 2, 8, 8), None)
    assert ada(policy="bg").fake(torch.zeros(2, 2, 8, 8), None).shape == (2, 2, 8, 8)
    with pytest.raises(InputError, match=r"\[3, 2\].*\[2, 2\]"):
        apa().real(torch.zeros(3, 2), torch.zeros(2, 2), None)


@pytest.mark.parametrize("name", ["ada", "apa"])
@pytest.mark.parametrize("target", [0.6, None])
def test_a_step_without_margins_is_refused_and_counts_nothing(name: str, target: float | None) -> None:
    augmentation = AUGMENTATIONS[name](target=target, every=3)
    augmentation.observe(torch.ones(4), 4)
    before = {key: value.clone() for key, value in augmentation.state_dict().items()}
    for margins, images, words in (
        (torch.tensor([1.0, math.nan, -2.0, math.nan]), 4, "margins became nan in 2 of 4 samples"),
        (torch.full((2, 3), math.nan), 2, "margins became nan in 6 of 6"),
        (torch.zeros(0), 4, r"margins is torch.float32 of shape \[0\].*B at least 1"),
        (torch.ones(4), -5, "images is -5: .*at least 1"),
        (torch.ones(4), 0, "images is 0"),
    ):
        with pytest.raises(InputError, match=words):
            augmentation.observe(margins, images)
    for key, value in augmentation.state_dict().items():
        assert torch.equal(value, before[key]), key
    augmentation.observe(torch.tensor([math.inf, -math.inf, 0.0]), 4)  # which have a sign


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_margin_that_is_nan_cannot_be_overlooked_on_a_gpu() -> None:
    augmentation = ada(every=2).cuda()
    augmentation.observe(torch.tensor([1.0, math.nan], device="cuda"), 2)
    augmentation.observe(torch.ones(2, device="cuda"), 2)
    assert augmentation.probability.isnan()


def test_policies_are_letters_and_words() -> None:
    assert transformations("bgc") == transformations("blit,geom,color") == transformations("c, b,geom") == ALL
    assert transformations("bg") == BLIT + GEOM
    assert transformations("hue, xint,hue") == ("xint", "hue")
    assert spec.make("ada(policy='xflip,hue', target=None, p=1)", "augmentation", AUGMENTATIONS).policy == (
        "xflip",
        "hue",
    )


# ADA's geometry


@pytest.mark.parametrize("policy", ["bgc", "b", "g", "c", *ALL])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probability_0_is_the_identity_exactly(policy: str, channels: int, dtype: torch.dtype) -> None:
    images = _images(5, channels, 11, 7, dtype=dtype)
    assert torch.equal(ada(policy=policy)(images, _rng()), images)


def _seen(changed: Tensor, candidates: list[Tensor], tolerance: float) -> list[int]:
    """Return which candidate each image is, as counts; every image must be one."""
    distances = torch.stack([(changed - candidate).flatten(1).abs().amax(1) for candidate in candidates])
    assert (distances.amin(0) <= tolerance).all()
    return torch.bincount(distances.argmin(0), minlength=len(candidates)).tolist()


def _within_4_errors(count: int, total: int, p: float) -> bool:
    return abs(count - total * p) <= 4 * math.sqrt(total * p * (1 - p))


@pytest.mark.parametrize("p", [1.0, 0.4])
def test_mirrors_and_quarter_turns_are_flip_and_rot90(p: float) -> None:
    n = 2000
    images = _images(1, 2, 6, 6).expand(n, 2, 6, 6)
    flipped = _seen(ada(p=p, policy="xflip")(images, _rng()), [images, images.flip(3)], 0)
    assert _within_4_errors(flipped[1], n, p / 2)
    turned = _seen(ada(p=p, policy="rotate90")(images, _rng()), [images.rot90(k, (2, 3)) for k in range(4)], 0)
    assert all(_within_4_errors(count, n, p / 4) for count in turned[1:])
    with_geometry = _seen(
        ada(p=p, policy="xflip,aniso")._moved(
            images,
            {name: torch.full((n,), name == "xflip") for name in (*BLIT, *GEOM, "rotate_again")},
            _draw.uniform(6, images, _rng()).unbind(1),
            _draw.normal(4, images, _rng()).unbind(1),
        ),
        [images, images.flip(3)],
        1e-5,
    )
    assert _within_4_errors(with_geometry[1], n, 0.5)


def _shifted(images: Tensor, right: int, down: int, mode: str) -> Tensor:
    """Shift by padding and cutting: mirrored at the centres of the outer pixels, or with zeros."""
    most = max(abs(right), abs(down))
    height, width = images.shape[-2:]
    padded = functional.pad(images, [most] * 4, mode=mode)
    return padded[..., most - down : most - down + height, most - right : most - right + width]


def test_integer_shifts_are_padding_and_cutting() -> None:
    n, side = 3000, 16  # shifts of up to 2 pixels
    images = _images(1, 2, side, side).expand(n, 2, side, side)
    candidates = [_shifted(images, x, y, "reflect") for x in range(-2, 3) for y in range(-2, 3)]
    counts = _seen(ada(p=1.0, policy="xint")(images, _rng()), candidates, 0)
    share = [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8]  # round(U(-2, 2))
    expected = [a * b for a in share for b in share]
    assert all(_within_4_errors(count, n, q) for count, q in zip(counts, expected, strict=True))


def _bilinear(image: Tensor, x: float, y: float) -> Tensor:
    """Return the value of an image ``[C, H, W]`` at a position in pixels, mirrored outside."""
    height, width = image.shape[-2:]

    def inside(i: int, size: int) -> int:
        i = abs(i) % (2 * (size - 1))
        return min(i, 2 * (size - 1) - i)

    left, top = math.floor(x), math.floor(y)
    value = torch.zeros(len(image), dtype=image.dtype)
    for i, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
        for j, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
            value += weight_x * weight_y * image[:, inside(j, height), inside(i, width)]
    return value


def test_resampling_is_bilinear_interpolation_of_the_mirrored_image() -> None:
    images = _images(3, 2, 5, 6, dtype=torch.float64)
    linear = torch.randn(3, 2, 2, generator=_rng(), dtype=torch.float64)
    shift = 3 * torch.randn(3, 2, generator=_rng(1), dtype=torch.float64)
    result = resample(images, linear, shift, "bilinear", "reflection")
    for b in range(3):
        for row in range(5):
            for column in range(6):
                x, y = (linear[b] @ torch.tensor([column - 2.5, row - 2.0], dtype=torch.float64) + shift[b]).tolist()
                torch.testing.assert_close(result[b, :, row, column], _bilinear(images[b], x + 2.5, y + 2.0))


def test_a_whole_chain_is_one_map_of_positions() -> None:
    """A plane is resampled without error, so that the map can be read off; compared with homogeneous matrices."""
    n, height, width = 400, 9, 11
    module = ada(p=0.6, policy="bg")
    down, across = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) - 4, torch.arange(width, dtype=torch.float64) - 5, indexing="ij"
    )
    planes = torch.stack([across, down])[None].expand(n, 2, height, width)
    moved = module(planes, _rng(8))
    rng = _rng(8)  # the same draws: gates, numbers, and the normal ones
    uniform, normal = _draw.uniform(21, planes, rng).double(), _draw.normal(7, planes, rng).double()
    names = (*BLIT, *GEOM, "rotate_again", *COLOR)
    thresholds = dict.fromkeys(names, 0.6) | dict.fromkeys(("rotate", "rotate_again"), 1 - math.sqrt(1 - 0.6))
    checked = 0
    for b in range(n):
        on = {name: bool(uniform[b, i] < thresholds[name]) for i, name in enumerate(names)}
        u, z = uniform[b, len(names) :].tolist(), normal[b].tolist()
        steps = []  # what is done to the image, in order, as maps of positions
        if on["xflip"] and u[0] < 0.5:
            steps.append(_homogeneous([[-1, 0], [0, 1]], (0, 0)))
        if on["rotate90"]:
            steps.append(_turned(-math.floor(4 * u[1]) * math.pi / 2))
        if on["xint"]:
            shift = (round((2 * u[2] - 1) * 0.125 * width), round((2 * u[3] - 1) * 0.125 * height))
            steps.append(_homogeneous([[1, 0], [0, 1]], shift))
        if on["scale"]:
            steps.append(_homogeneous([[2 ** (0.2 * z[0]), 0], [0, 2 ** (0.2 * z[0])]], (0, 0)))
        if on["rotate"]:
            steps.append(_turned(-(2 * u[4] - 1) * math.pi))
        if on["aniso"]:
            steps.append(_homogeneous([[2 ** (0.2 * z[1]), 0], [0, 2 ** (-0.2 * z[1])]], (0, 0)))
        if on["rotate_again"]:
            steps.append(_turned(-(2 * u[5] - 1) * math.pi))
        if on["xfrac"]:
            steps.append(_homogeneous([[1, 0], [0, 1]], (0.125 * width * z[2], 0.125 * height * z[3])))
        whole = torch.eye(3, dtype=torch.float64)
        for step in steps:
            whole = step @ whole
        source = torch.linalg.inv(whole) @ torch.stack([across.flatten(), down.flatten(), torch.ones(height * width)])
        inside = (source[0].abs() <= 5) & (source[1].abs() <= 4)
        checked += int(inside.sum())
        torch.testing.assert_close(moved[b].flatten(1)[:, inside], source[:2, inside], atol=1e-5, rtol=0)
    assert checked > 0.4 * n * height * width


def _homogeneous(linear: list[list[float]], shift: tuple[float, float]) -> Tensor:
    result = torch.eye(3, dtype=torch.float64)
    result[:2, :2], result[:2, 2] = torch.tensor(linear), torch.tensor(shift)
    return result


def _turned(angle: float) -> Tensor:
    return _homogeneous([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], (0, 0))


@pytest.mark.parametrize("name", ["scale", "rotate", "aniso", "xfrac", "brightness", "contrast", "hue", "saturation"])
@pytest.mark.parametrize("p", [0.15, 0.7])
def test_the_share_of_changed_images_is_p(name: str, p: float) -> None:
    n = 4000
    images = _images(1, 3, 4, 4).expand(n, 3, 4, 4)
    changed = (ada(p=p, policy=name)(images, _rng(2)) != images).flatten(1).any(1)
    assert _within_4_errors(int(changed.sum()), n, p)


def test_transformations_are_drawn_apart_and_anew_for_every_image_and_call() -> None:
    n = 4000
    images = _images(1, 3, 4, 4).expand(n, 3, 4, 4)
    changed = (ada(p=0.5, policy="xfrac,hue")(images, _rng(2)) != images).flatten(1).any(1)
    assert _within_4_errors(int(changed.sum()), n, 0.75)
    rng, module = _rng(2), ada(p=1.0)
    first, second = module.real(images, images, rng), module.fake(images, rng)
    assert (first != second).flatten(1).any(1).all()
    assert len(first.flatten(1).unique(dim=0)) == n


# ADA's colours


def test_colours_are_the_authors_matrices() -> None:
    """C = saturation · hue · luma flip · contrast · brightness, as 4×4 matrices of homogeneous colours."""
    n, rng = 300, _rng(9)
    images = _images(n, 3, 2, 3, dtype=torch.float64)
    changed = ada(p=0.6, policy="c")(images, _rng(9))
    uniform, normal = _draw.uniform(21, images, rng).double(), _draw.normal(7, images, rng).double()
    axis = torch.tensor([1.0, 1, 1], dtype=torch.float64) / math.sqrt(3)
    eye = torch.eye(3, dtype=torch.float64)
    outer = torch.outer(axis, axis)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    for b in range(n):
        on = dict(zip(COLOR, (uniform[b, 8:13] < 0.6).tolist(), strict=True))
        colours = images[b].flatten(1)
        if on["brightness"]:
            colours = colours + 0.2 * normal[b, 4]
        if on["contrast"]:
            colours = colours * 2 ** (0.5 * normal[b, 5])
        if on["lumaflip"] and uniform[b, 19] < 0.5:
            colours = (eye - 2 * outer) @ colours
        if on["hue"]:
            angle = (2 * uniform[b, 20] - 1) * math.pi
            colours = (eye * angle.cos() + cross * angle.sin() + outer * (1 - angle.cos())) @ colours  # Rodrigues
        if on["saturation"]:
            colours = (outer + (eye - outer) * 2 ** normal[b, 6]) @ colours
        torch.testing.assert_close(changed[b].flatten(1), colours, atol=1e-6, rtol=1e-6)


def test_hue_and_saturation_keep_the_luma_and_hue_the_length_of_the_chroma() -> None:
    images = _images(50, 3, 4, 4, dtype=torch.float64)
    luma = images.mean(1, keepdim=True)
    for policy in ("hue", "saturation", "hue,saturation"):
        changed = ada(p=1.0, policy=policy)(images, _rng())
        torch.testing.assert_close(changed.mean(1, keepdim=True), luma)
    turned = ada(p=1.0, policy="hue")(images, _rng())
    torch.testing.assert_close((turned - luma).norm(dim=1), (images - luma).norm(dim=1))
    third = 2 * math.pi / 3  # a third of the circle takes red to green
    one, zero = torch.ones(50, dtype=torch.float64), torch.zeros(50, dtype=torch.float64)
    turned = recolour(images, one, zero, one * math.cos(third), one * math.sin(third))
    torch.testing.assert_close(turned, images.roll(1, 1))


def test_grey_images_change_as_grey_images_of_three_channels_do() -> None:
    grey = _images(40, 1, 5, 5)
    once, thrice = ada(p=0.8)(grey, _rng(3)), ada(p=0.8)(grey.expand(-1, 3, -1, -1).clone(), _rng(3))
    torch.testing.assert_close(once.expand(-1, 3, -1, -1), thrice, atol=1e-5, rtol=1e-5)
    for policy in ("hue", "saturation"):
        assert torch.equal(ada(p=1.0, policy=policy)(grey, _rng()), grey)


# the adaptive probability


@pytest.mark.parametrize("name", ["ada", "apa"])
@pytest.mark.parametrize(("target", "every", "start"), [(0.6, 4, 0.0), (0.0, 1, 0.5), (-0.3, 3, 1.0)])
def test_the_probability_follows_a_loop_written_by_hand(name: str, target: float, every: int, start: float) -> None:
    kimg, rng = 0.7, _rng(4)
    augmentation = AUGMENTATIONS[name](target=target, kimg=kimg, every=every, p=start)
    p, signs, images, visited = start, [], 0, set()
    for batch in range(1, 200):
        count = int(torch.randint(1, 40, (), generator=rng))
        sure = 1.5 * math.sin(batch / 15)
        margins = torch.randn(count, generator=rng) + sure
        augmentation.observe(margins, count)
        signs += [1 if m > 0 else -1 for m in margins.tolist()]
        images += count
        if batch % every == 0:
            mean = sum(signs) / len(signs)
            p += ((mean > target) - (mean < target)) * images / (kimg * 1000)
            p = min(max(p, 0.0), 1.0)
            signs, images = [], 0
        assert float(augmentation.probability) == pytest.approx(p, abs=1e-5)
        visited.add(round(p, 1))
    assert len(visited) > 3
    assert {0.0, 1.0} & visited


def test_at_the_target_and_without_one_the_probability_stays() -> None:
    adaptive = AdaptiveProbability(0.3, 0.6, 1, 1)
    adaptive.observe(torch.tensor([1.0, 1, 1, 1, -1]), 5)
    assert float(adaptive.value) == pytest.approx(0.3)
    fixed = apa(target=None, p=0.25)
    for _ in range(9):
        fixed.observe(torch.ones(1000), 1000)
    assert float(fixed.probability) == 0.25


@pytest.mark.parametrize("name", ["ada", "apa"])
def test_state_goes_on_from_a_checkpoint_exactly(name: str) -> None:
    def play(augmentation: Augmentation, batches: range) -> list[float]:
        values = []
        for batch in batches:
            augmentation.observe(torch.randn(16, generator=_rng(batch)) + math.sin(batch / 5), 16)
            values.append(float(augmentation.probability))
        return values

    make = AUGMENTATIONS[name]
    whole, half = make(kimg=0.5, target=0.1, p=0.5), make(kimg=0.5, target=0.1, p=0.5)
    values = play(whole, range(61))
    assert len(set(values)) > 3
    assert play(half, range(30)) == values[:30]  # in the middle of an interval of 4
    resumed = make(kimg=0.5, target=0.1)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    assert play(resumed, range(30, 61)) == values[30:]
    real, fake = _images(8, 3, 8, 8), _images(8, 3, 8, 8, seed=2)
    assert torch.equal(resumed.real(real, fake, _rng()), whole.real(real, fake, _rng()))


# APA


@pytest.mark.parametrize("shape", [(2,), (), (3, 4, 4)])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_apa_replaces_a_share_of_p_in_place(shape: tuple[int, ...], p: float) -> None:
    n = 5000
    real, fake = torch.rand(n, *shape, generator=_rng()), -1 - torch.rand(n, *shape, generator=_rng(1))
    shown = apa(p=p).real(real, fake.requires_grad_(), _rng(2))
    replaced = (shown.reshape(n, -1) < 0).all(1)
    assert _within_4_errors(int(replaced.sum()), n, p)
    assert torch.equal(shown[replaced], fake[replaced])
    assert torch.equal(shown[~replaced], real[~replaced])
    assert not shown.requires_grad
    assert apa(p=p).fake(fake, _rng()) is fake


# DiffAugment


def test_diffaugment_colours_are_the_three_steps_in_turn() -> None:
    images = _images(30, 3, 4, 5, dtype=torch.float64)
    drawn = _draw.uniform(3, images, _rng(2)).double()[:, :, None, None, None]
    x = images + drawn[:, 0] - 0.5
    mean = x.mean(1, keepdim=True)
    x = (x - mean) * (2 * drawn[:, 1]) + mean
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (drawn[:, 2] + 0.5) + mean
    torch.testing.assert_close(diffaugment("color")(images, _rng(2)), x)


@pytest.mark.parametrize(("height", "width"), [(16, 12), (13, 4)])
def test_diffaugment_translations_are_padding_and_cutting(height: int, width: int) -> None:
    n = 3000
    images = _images(1, 2, height, width).expand(n, 2, height, width)
    down, right = int(height / 8 + 0.5), int(width / 8 + 0.5)
    candidates = [_shifted(images, x, y, "constant") for x in range(-right, right + 1) for y in range(-down, down + 1)]
    counts = _seen(diffaugment("translation")(images, _rng()), candidates, 0)
    assert all(_within_4_errors(count, n, 1 / len(candidates)) for count in counts)


@pytest.mark.parametrize("side", [8, 7, 10, 9])
def test_diffaugment_cuts_rectangles_out(side: int) -> None:
    n, size = 3000, int(side / 2 + 0.5)
    changed = diffaugment("cutout")(torch.ones(n, 1, side, side + 1), _rng())[:, 0]
    candidates = []
    rows, columns = (_cuts(each) for each in (side, side + 1))
    for row in rows:
        for column in columns:
            candidates.append(1 - torch.outer(row, column))
    counts = _seen(changed, [candidate.expand(n, -1, -1) for candidate in candidates], 0)
    assert all(_within_4_errors(count, n, 1 / len(candidates)) for count in counts)
    assert min(int(row.sum()) for row in rows) == -(-size // 2)


def _cuts(side: int) -> list[Tensor]:
    """Return all rows of ones where the rectangle is: ``size`` pixels, centred on an edge or a pixel of the image."""
    size = int(side / 2 + 0.5)
    result = []
    for centre in range(side + 1 if size % 2 == 0 else side):
        row = torch.zeros(side)
        row[max(0, centre - size // 2) : centre - size // 2 + size] = 1
        result.append(row)
    return result


def test_diffaugment_changes_in_the_order_of_its_policy() -> None:
    images, rng = _images(6, 3, 8, 8), _rng(3)
    in_turn = diffaugment("color")(diffaugment("cutout")(images, rng), rng)
    assert torch.equal(diffaugment("cutout,color")(images, _rng(3)), in_turn)
    assert (diffaugment("color, cutout")(images, _rng(3)) == 0).any()


# precision, devices, speed


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name: str) -> None:
    real, fake = _images(8, 3, 16, 16), _images(8, 3, 16, 16, seed=2)
    plain = _made(name).real(real, fake, _rng())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(_made(name).real(real, fake, _rng()), plain)


@pytest.mark.parametrize("name", NAMES)
def test_bf16_is_rounded_at_the_end_only(name: str) -> None:
    real, fake = (_images(16, 3, 28, 28, dtype=torch.bfloat16, seed=seed) for seed in (1, 2))
    wide = _made(name).real(real.float(), fake.float(), _rng())
    assert torch.equal(_made(name).real(real, fake, _rng()), wide.bfloat16())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_read_back_from_the_device(name: str) -> None:
    """On the meta device there are no values to read: whatever asks for one fails."""
    augmentation = AUGMENTATIONS[name]().to("meta")
    real = torch.zeros(4, 3, 8, 8, device="meta")
    assert augmentation.real(real, real, _rng()).device.type == "meta"
    assert augmentation.fake(real, _rng()).shape == real.shape
    augmentation.observe(torch.zeros(4, device="meta"), 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_shows_the_same_images_without_waiting(name: str) -> None:
    real, fake = _images(8, 3, 16, 16), _images(8, 3, 16, 16, seed=2)
    on_gpu, augmentation = (real.cuda(), fake.cuda()), _made(name).cuda()
    shown = augmentation.real(*on_gpu, _rng())
    torch.testing.assert_close(shown.cpu(), _made(name).real(real, fake, _rng()), atol=1e-4, rtol=1e-4)
    rng = torch.Generator("cuda").manual_seed(0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        moving = on_gpu[1].requires_grad_()
        augmentation.fake(augmentation.real(on_gpu[0], moving, rng) + moving, rng).sum().backward()
        augmentation.observe(moving.detach().mean((1, 2, 3)), 8)
    finally:
        torch.cuda.set_sync_debug_mode("default")
