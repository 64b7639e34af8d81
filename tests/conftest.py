"""Check every annotated shape and type of the package while its tests run."""

import torch
from jaxtyping import install_import_hook

install_import_hook("adversarium", "shape_checker.check")

torch.set_num_threads(1)  # for tests' small tensors a second thread only waits
