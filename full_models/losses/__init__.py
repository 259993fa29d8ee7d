"""Every loss as one pure function of tensors: the two views' embeddings (…, N, d) in, one number per network (…) out.

Leading axes are a batch of networks; the result has the embeddings' type. Call them outside autocast: a score of 200 at
temperature 0.005 is wrong by 1 in bfloat16. What papers and their code do differently is named by `convention="paper"`
(the default) or `"reference"`. Nothing here detaches, gathers over processes or keeps state. Every loss is twice
differentiable wherever its formula is, and runs under `torch.func`, but `blocked_info_nce` and `blocked_nt_xent`: these are
once differentiable, and not under `torch.func`. A temperature is checked by its value, which `vmap` hides: map over embeddings,
not over it. On inputs:

    shapes, types, options   one ValueError with the remedy
    NaN                      a NaN entry makes its own network's loss NaN, never a finite number
    constant rows            finite, at the value each docstring states
    N = 1                    where the formula has a value, that value; where it has none, ValueError
    zero vector              l2-normalised losses keep it at 0 (floor 1e-12 under the norm; float16, which has none such: 6e-5)
"""

from full_models.losses.blocked import blocked_info_nce, blocked_nt_xent
from full_models.losses.contrastive import (
    decoupled_contrastive,
    info_nce,
    nce,
    nt_xent,
    queue_info_nce,
    spectral_contrastive,
)
from full_models.losses.prediction import (
    cross_entropy,
    invariance,
    jepa,
    mae,
    negative_cosine,
    predictor_mse,
    v_jepa,
)
from full_models.losses.sphere import alignment, uniformity
from full_models.losses.statistics import barlow_twins, lejepa, matrix_ssl, random_directions, sigreg, vicreg

__all__ = [
    "alignment",
    "barlow_twins",
    "blocked_info_nce",
    "blocked_nt_xent",
    "cross_entropy",
    "decoupled_contrastive",
    "info_nce",
    "invariance",
    "jepa",
    "lejepa",
    "mae",
    "matrix_ssl",
    "nce",
    "negative_cosine",
    "nt_xent",
    "predictor_mse",
    "queue_info_nce",
    "random_directions",
    "sigreg",
    "spectral_contrastive",
    "uniformity",
    "v_jepa",
    "vicreg",
]
