"""Lookahead for two players: every k steps, go only part of the way that was gone."""

import math
from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from adversarium.errors import require
from adversarium.games._weights import put, recall, weights
from adversarium.games.alternating import alternating
from adversarium.types import Closure, GameRule


def lookahead(k: int = 5, alpha: float = 0.5, inner: GameRule | None = None) -> GameRule:
    """Every ``k`` steps of another rule, go back to a share ``alpha`` of the way gone since the last time.

    Formula:
        k steps of the inner rule from z₀ to z;  z₀ <- z₀ + α·(z - z₀), z <- z₀, for both players at once
    Convention:
        ``inner`` is ``alternating()`` unless given. The optimizers' own state stays as the inner steps left it.
        Around simultaneous descent the spectral radius of k steps on the bilinear game is ``|(1 - α) + α(1 - ih)^k|``.
        The paper's nested form is ``lookahead(k=…, inner=lookahead())``: both k count steps of the innermost rule, and
        where the outer one goes back, the inner one's z₀ becomes that point.
    Elsewhere:
        LAGAN-Lookahead_Minimax, the authors' code, takes its first z₀ after the first k steps (the ``super_slow`` one
        likewise), so that it goes back for the first time after 2k.
    Use when:
        The players circle: the way back cuts the corner, at no extra gradient.
    Paper:
        Chavdarova, Pagliardini, Stich, Fleuret and Jaggi 2021, "Taming GANs with Lookahead-Minmax", arXiv:2006.14567.

    Raises:
        InputError: ``k`` below 1, an ``alpha`` that is not above 0 and at most 1, or an ``inner`` that is no rule.
    """
    require(isinstance(k, int) and k >= 1, f"k is {k}: wanted a whole number, at least 1")
    require(0 < alpha <= 1, f"alpha is {alpha}: wanted a number above 0 and at most 1")
    rule = alternating() if inner is None else inner
    require(
        isinstance(rule, GameRule),
        f"inner is {rule!r}: wanted a GameRule, which the factories in games.GAMES return when called",
    )
    key, within = "lookahead", rule
    inner_names = []
    while within.name == "lookahead":  # each around another has memory of its own
        inner_names.append(f"{key}.slow")
        deeper = within.arguments["inner"]
        assert isinstance(deeper, GameRule)
        key, within = f"{key}.outer", deeper
    slow_name = f"{key}.slow"

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        moved = [(owner, each) for owner in (critic_optimizer, generator_optimizer) for each in weights(owner)]
        recalled = [recall(owner, each, slow_name) for owner, each in moved]
        slow = [
            each.detach().clone() if value is None else value for (_, each), value in zip(moved, recalled, strict=True)
        ]
        rule(critic, generator, critic_optimizer, generator_optimizer)
        states = []
        for (owner, each), known, value in zip(moved, recalled, slow, strict=True):
            # not for a weight that never moved: its optimizer may yet have to make its own state, where it finds none
            had_gradient = rule.plain_descent or each.grad is not None
            if known is not None or had_gradient or not torch.equal(each, value):
                owner.state[each][slow_name] = value
                states.append(owner.state[each])
        known_states = [state for owner in (critic_optimizer, generator_optimizer) for state in owner.state.values()]
        if not states or _count(known_states, states[0], key, k) != 0:
            return
        fast = [each for _, each in moved]
        with torch.no_grad():
            torch._foreach_lerp_(slow, fast, alpha)
        put(fast, slow)
        for (owner, each), value in zip(moved, slow, strict=True):
            for name in inner_names:
                if (inner_slow := recall(owner, each, name)) is not None:
                    inner_slow.copy_(value)

    return GameRule(
        name="lookahead",
        play=play,
        critic_evaluations=rule.critic_evaluations,
        generator_evaluations=rule.generator_evaluations,
        evaluations_per_move=rule.evaluations_per_move,
        second_order=rule.second_order,
        plain_descent=rule.plain_descent,
        fixed_batch=rule.fixed_batch,
        period=math.lcm(k, rule.period),
        arguments={"k": k, "alpha": alpha, "inner": rule},
    )


def _count(states: Sequence[dict[str, torch.Tensor]], first: dict[str, torch.Tensor], key: str, k: int) -> int:
    """Add 1 to the steps since the last time, modulo k, and return them. One weight's state has it for all.

    In two digits to the base 256: an optimizer that loads its state casts it to the weights' type, and bfloat16 has no
    number between 256 and 258.
    """
    low, high = f"{key}.count", f"{key}.carry.count"
    state = next((each for each in states if low in each), first)
    count = int(state[low]) + 256 * int(state[high]) if low in state else 0
    count = (count + 1) % k
    state[low], state[high] = torch.tensor(float(count % 256)), torch.tensor(float(count // 256))
    return count
