"""Check every annotated shape and type of the package while its tests run."""

from typing import runtime_checkable

import torch
from jaxtyping import install_import_hook

from adversarium import types

# beartype cannot check a protocol that is not runtime checkable; the rest of the package is imported under the hook
for protocol in (types.GameRule, types.Penalty, types.ScoreFunction):
    runtime_checkable(protocol)
install_import_hook("adversarium", "shape_checker.check")

torch.set_num_threads(1)  # for tests' small tensors a second thread only waits
