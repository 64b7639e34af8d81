"""Layers that do not learn."""

from torch import nn

from adversarium.errors import InputError, nearest, require


def freeze(text: str | None, *, critic: nn.Module, generator: nn.Module) -> None:
    """Stop the named layers of two networks from learning: ``"critic.0, generator.3"``, with all that is in them.

    Freezing the critic's first layers is FreezeD (Mo, Cho and Shin 2020, arXiv:2002.10964).

    Raises:
        InputError: no such layer (names the nearest), one without weights, or a player of which nothing learns.
    """
    networks = {"critic": critic, "generator": generator}
    layers = {
        f"{player}.{name}": layer
        for player, network in networks.items()
        for name, layer in network.named_modules()
        if name
    }
    for name in [each.strip() for each in text.split(",")] if text else []:
        if name not in layers:
            learning = [each for each, layer in layers.items() if [*layer.parameters(recurse=False)]]
            raise InputError(f"freeze names {name!r}{nearest(name, layers)}: wanted some of {', '.join(learning)}")
        parameters = list(layers[name].parameters())
        require(bool(parameters), f"freeze names {name}, which has no weights")
        for parameter in parameters:
            parameter.requires_grad_(False)
    for player, network in networks.items():
        learns = any(parameter.requires_grad for parameter in network.parameters())
        require(learns, f"freeze is {text!r}: nothing of the {player} would learn")
