"""Mistakes of one's own loop: what has the wrong type is named, and what would work is said.

In a process of its own: the import hook that checks annotations in tests would be the first to complain.
"""

import json
import subprocess
import sys
from functools import cache

import pytest

SETTING = """
import json
import torch
import numpy as np
from torch import nn
from adversarium import losses, penalties
from adversarium.component import *
from adversarium.errors import InputError
from adversarium.nets import Conditioned
from adversarium.nets.heads import ConcatenationCritic, ContrastiveCritic, ProjectionCritic
from adversarium.stabilisers import *
from adversarium.tensors import described
from adversarium.types import Condition

rng = torch.Generator().manual_seed(0)
x, y = torch.randn(2, 4, 1, 16, 16, generator=rng)
both = MultiScaleCritic(1, scales=2, width=2, layers=1, normalisation="none", rng=rng)
tok = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
value = tok(torch.randn(5, 3, generator=rng)).square().mean()
body = nn.Sequential(nn.Flatten(1), nn.Linear(256, 8))
D = ProjectionCritic(body, 8, Condition("vector", 5), rng=rng)
L = ProjectionCritic(body, 8, Condition("label", 5), rng=rng)
labels, margins = torch.zeros(4, dtype=torch.int64), torch.ones(4)
"""

OVER = "over_scales"
EACH = "critic.critics"
WRONG = {
    # several critics' scores
    **{
        f"losses.{side}(both(x), both(y))": ["fake_scores is a list of 2", OVER]
        for name in (
            "hinge",
            "nonsaturating",
            "relativistic",
            "f_divergence",
            "began",
            "realness",
            "attention_relativistic",
        )
        for side in (f"{name}().critic", f"{name}().generator")
    },
    "losses.CLASS_LOSSES['multiclass_hinge']().critic(both(x), both(y), labels, labels)": ["is a list of 2", OVER],
    "losses.smooth_labels(losses.nonsaturating()).critic(both(x), both(y))": ["is a list of 2", OVER],
    "losses.hinge().critic(margins, None)": ["fake_scores is None", "one tensor"],
    "losses.mmd()(both(x), both(y), rng)": ["real is a list of 2", "one tensor"],
    **{
        f"penalties.{name}()(both, x, y, rng)": ["the critic's scores are a list of 2", EACH]
        for name in ("noise_r1", "noise_r2", "lecam", "cr", "bcr")
    },
    **{
        f"penalties.{call}(both, x, y, rng)": ["the critic's scores are a list of 2", EACH]
        for call in ("r1()", "r2(method='functional')", "wgan_gp(method='finite')", "max_gradient()", "wgan_div()")
    },
    "penalties.scores_and_slope(both, x)": ["the critic's scores are a list of 2", EACH],
    "over_scales(losses.hinge)": ["loss is a function", "losses.hinge()"],
    "over_scales('hinge')": ["loss is 'hinge'", "wanted a Loss"],
    "over_scales(over_scales(losses.hinge()))": ["LossOverScales", "lists of scores already"],
    "over_scales(losses.hinge(), None)": ["together is None", "'mean'"],
    "over_scales(losses.hinge()).critic({'a': x}, {'a': x})": ["fake_scores is a dict", "for each critic"],
    "over_scales(losses.hinge()).critic(both(x), None)": ["fake_scores is None", "for each critic"],
    "over_scales(losses.hinge()).generator(None, both.scores_and_features(x))": ["fake_scores[0] is a list of 2"],
    "over_scales(losses.hinge()).critic([x, None], [x, x])": ["real_scores[1] is None"],
    "all_layers(x)": ["features is torch.float32 of shape [4, 1, 16, 16]", "list of layers"],
    "all_layers([x, None])": ["features[1] is None"],
    # the adversarial weight
    "AdversarialWeight(tok, tok[2])": ["layer is a Linear", "wanted its name in the network, '2'"],
    "AdversarialWeight(tok, tok[0].bias)": ["layer is torch.float32 of shape [4]", "'0.bias'"],
    "AdversarialWeight(tok, nn.Linear(2, 2))": ["layer is a Linear", "named_parameters()"],
    "AdversarialWeight(tok, None)": ["layer is None", "named_parameters()"],
    "AdversarialWeight(tok, tok)": ["layer is a Sequential", "named_parameters()"],
    "AdversarialWeight('2', tok)": ["network is '2'", "the network comes first"],
    "AdversarialWeight(tok.state_dict(), '2')": ["network is a OrderedDict", "nn.Module"],
    "AdversarialWeight(tok, '2', group='world')": ["group is 'world'", "ProcessGroup"],
    **{
        f"AdversarialWeight(tok, '2', {name}={wrong})": [f"{name} is", "wanted a number"]
        for name in ("floor", "ceiling", "scale", "epsilon", "momentum", "start_step", "warmup_steps")
        for wrong in ("None", "'1'", "[1]", "torch.ones(2)")
    },
    "AdversarialWeight(tok, '2')(1.0, value, 0)": ["reconstruction_loss is 1.0", "a tensor of shape []"],
    "AdversarialWeight(tok, '2')(value, None, 0)": ["adversarial_loss is None", "a tensor of shape []"],
    "AdversarialWeight(tok, '2')(value, [value], 0)": ["adversarial_loss is a list of 1"],
    "AdversarialWeight(tok, '2')(value, value, None)": ["step is None", "the number of the step"],
    "AdversarialWeight(tok, '2')(value, value, '3')": ["step is '3'"],
    # critics of patches
    "PatchCritic(1.5, rng=rng)": ["channels is 1.5", "whole number"],
    "PatchCritic('1', rng=rng)": ["channels is '1'"],
    "PatchCritic(1, layers=2.5, rng=rng)": ["layers is 2.5"],
    "PatchCritic(1, shrink=None, rng=rng)": ["shrink is None"],
    "PatchCritic(1, normalisation=nn.BatchNorm2d, rng=rng)": ["normalisation is a type", "'batch'"],
    "MultiScaleCritic(1, scales=2.5, rng=rng)": ["scales is 2.5"],
    "MultiPeriodCritic(periods=3, rng=rng)": ["periods is 3", "a list"],
    "PeriodCritic(2.5, rng=rng)": ["period is 2.5"],
    "WaveCritic(width=4.0, rng=rng)": ["width is 4.0"],
    "MultiScaleWaveCritic(scales='3', rng=rng)": ["scales is '3'"],
    "both([x])": ["samples is a list of 1", "wanted images"],
    "both(torch.zeros(4, 1, 16, 16, dtype=torch.uint8))": ["torch.uint8", "floating point"],
    # conditions
    **{
        f"Conditioned(D, {wrong})": [f"condition is {said}", "labels int64 [B] or vectors float [B, E]"]
        for wrong, said in {
            "None": "None",
            "7": "7",
            "[1, 2]": "a list of 2",
            "np.zeros((4, 5))": "a ndarray",
            "torch.tensor(1)": "torch.int64 of shape []",
        }.items()
    },
    "Conditioned(None, labels)": ["network is None", "samples and condition"],
    "D(x, None)": ["condition is None", "float [B, 5]"],
    "L(x, [1, 2, 3, 4])": ["condition is a list of 4", "int64 [B]"],
    "Conditioned(D, torch.zeros(4, 6))(x)": ["of shape [4, 6]", "wanted float [B, 5]"],
    "Conditioned(D, labels)(x)": ["torch.int64 of shape [4]", "wanted float [B, 5]"],
    "Conditioned(L, torch.zeros(4, 5))(x)": ["torch.float32 of shape [4, 5]", "wanted int64 [B]"],
    # augmentations and the rest
    "ada(policy=['xflip', 'xint'])": ["policy is a list of 2", "policy='xflip,xint'"],
    "ada(policy=('xflip',))": ["policy is a tuple of 1", "policy='xflip'"],
    "ada(policy=None)": ["policy is None", "joined by commas"],
    "diffaugment(policy=['color'])": ["policy is a list of 1", "policy='color'"],
    "diffaugment(policy=[1])": ["policy is a list of 1", "joined by commas"],
    **{
        f"ada({name}={wrong})": [f"{name} is {wrong}", "wanted"]
        for name in ("target", "kimg", "every", "p")
        for wrong in ("'1'", "True")
    },
    "apa(every=2.5)": ["every is 2.5", "whole number"],
    "apa().real(x, None, rng)": ["fake is None", "apa wants a tensor"],
    "apa().real(None, x, rng)": ["real is None"],
    "ada().fake(None, rng)": ["samples is None"],
    "diffaugment().fake(np.zeros((4, 1, 8, 8)), rng)": ["samples is a ndarray"],
    **{f"{name}().real(x, x, 3)": ["rng is 3", "manual_seed(3)"] for name in ("ada", "apa", "diffaugment")},
    "penalties.dragan()(lambda x: x.flatten(1).sum(1), x, y, 3)": ["rng is 3", "manual_seed(3)"],
    **{
        f"{name}().real(x.byte(), x.byte(), rng)": ["torch.uint8", "images.float() / 127.5 - 1"]
        for name in ("ada", "apa", "diffaugment")
    },
    **{f"apa().observe({wrong}, 4)": ["margins is"] for wrong in ("None", "0.5", "[1.0]", "margins > 0")},
    **{
        f"ada().observe(margins, {wrong})": [f"images is {wrong}", "whole number, at least 1"]
        for wrong in ("-5", "0", "2.5", "None")
    },
    **{f"ReplayPool({wrong})": [f"capacity is {wrong}", "whole number"] for wrong in ("2.5", "3.0", "'5'", "True")},
    "ReplayPool(5, '1')": ["share is '1'"],
    "ReplayPool(5)(None)": ["fake is None"],
    "ReplayPool(5)(x[:0])": ["fake is torch.float32 of shape [0, 1, 16, 16]"],
    "top_k(margins, [margins, margins])": ["scores is a list of 2"],
    "top_k(margins, margins, 'half')": ["share is 'half'"],
    "pack(x, 2.0)": ["degree is 2.0", "whole number"],
    "pack([x], 2)": ["samples is a list of 1"],
    "packed_shape((1, 2), '2')": ["degree is '2'"],
}

TRYING = """
said = {}
for wrong in json.loads(input()):
    try:
        said[wrong] = "accepted: " + described(eval(wrong))
    except InputError as error:
        said[wrong] = "InputError: " + str(error)
    except Exception as error:
        said[wrong] = type(error).__name__ + ": " + str(error)
print(json.dumps(said))
"""


@cache
def said() -> dict[str, str]:
    command = [sys.executable, "-c", SETTING + TRYING]
    done = subprocess.run(command, input=json.dumps(list(WRONG)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_wrong_type_is_named(wrong: str):
    message = said()[wrong]
    assert message.startswith("InputError: ")
    assert [words for words in WRONG[wrong] if words not in message] == [], message
