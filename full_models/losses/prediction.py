"""Losses without negatives on single pairs: invariance, BYOL, SimSiam, I-JEPA, V-JEPA, MAE; and cross-entropy.

    z, z⁺   (…, N, d)  two views, or a prediction and its target, N samples or patches

No function here stops a gradient: detach the target, or it is a loss on both (the one choice that decides collapse).
Each is one direction; a symmetric method adds (BYOL) or averages (SimSiam) two calls. Exact functions of their arrays.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from full_models.losses.inputs import NORM_FLOOR, check_pair, check_positive, check_whole, is_paper, meet, normalise


def invariance(z: Tensor, z_plus: Tensor) -> Tensor:
    """(1/N) Σ_n ‖z_n - z⁺_n‖²  (…), squared units of z; 0, its least, for any constant embedding. The note, 1.2."""
    check_pair(z, z_plus)
    return (z - z_plus).square().sum(-1).mean(-1)


def negative_cosine(z: Tensor, z_plus: Tensor, *, convention: str = "paper") -> Tensor:
    """-(1/N) Σ_n z_n·z⁺_n / (‖z_n‖ ‖z⁺_n‖)  (…), z the prediction p, z⁺ its target; in [-1, 1].

    -1 is both the optimum and collapse. The gradient grows as 1/‖z‖ down to a floor under each norm: 1e-12 in "paper",
    1e-8 in "reference" (the authors' `CosineSimilarity`). A zero vector counts as cosine 0.
    Source: Chen & He 2021 eq. 1. Raises ValueError on shapes and convention.
    """
    check_pair(z, z_plus)
    floor = NORM_FLOOR if is_paper(convention) else 1e-8
    return -(normalise(z, floor) * normalise(z_plus, floor)).sum(-1).mean(-1)


def predictor_mse(z: Tensor, z_plus: Tensor, *, unit: bool = False, convention: str = "paper") -> Tensor:
    """(1/N) Σ_n ‖p_n - z⁺_n‖²  (…), p = z the prediction, z⁺ its target.

    unit: both scaled to norm 1, BYOL's loss 2 - 2 cos in one direction (Grill et al. 2020 eq. 2). The floor under each
    norm is 1e-12 in "paper" and 1e-6 in "reference" (the authors clamp the *square* at 1e-12); without `unit` the two
    conventions are one, the Euclidean loss of the linear theory (c = 1). Raises ValueError on shapes, convention.
    """
    check_pair(z, z_plus)
    floor = NORM_FLOOR if is_paper(convention) else 1e-6
    if unit:
        z, z_plus = normalise(z, floor), normalise(z_plus, floor)
    return (z - z_plus).square().sum(-1).mean(-1)


def jepa(z: Tensor, z_plus: Tensor, *, M: int = 1, beta: float = 1.0, convention: str = "paper") -> Tensor:
    """I-JEPA: predicted patch embeddings z against target ones z⁺, N patches in M blocks (all images together)  (…).

    "paper": (1/M) Σ_n ‖z_n - z⁺_n‖² (Assran et al. 2023, section 3); beta not used. "reference", the authors' code:
    mean over n and j of smooth-L1 with threshold beta, r²/(2 beta) below it and |r| - beta/2 above, against targets
    layer-normed over d (no affine, 1e-5 in the root); M not used. A constant target patch is layer-normed to 0.
    Raises ValueError on shapes, M not whole or < 1, beta <= 0, convention.
    """
    check_pair(z, z_plus)
    check_whole(1, M=M)
    check_positive(beta=beta)
    if is_paper(convention):
        return (z - z_plus).square().sum((-2, -1)) / M
    return F.smooth_l1_loss(z, _layer_norm(z_plus), reduction="none", beta=beta).mean((-2, -1))


def v_jepa(z: Tensor, z_plus: Tensor, *, p: float = 1.0, reg: float = 0.0, convention: str = "paper") -> Tensor:
    """V-JEPA: predicted embeddings z of masked space-time tokens against target ones z⁺, N tokens of a clip  (…).

    "paper": (1/N) Σ_n ‖z_n - z⁺_n‖₁ (Bardes et al. 2024 eq. 1); p and reg not used. "reference", the authors' code:
    mean over n and j of |z - h|^p / p, h = z⁺ layer-normed over d, plus reg times the hinge
    mean_j max(0, 1 - √(Var_n z_nj + 1e-4)), Var with 1/(N-1); their recipes leave reg = 0. At z = target the gradient
    of |·| is taken as 0. Raises ValueError on shapes, p < 1, reg < 0, reg > 0 with N < 2, convention.
    """
    check_pair(z, z_plus, least=2 if reg else 1)
    if not (1 <= p < float("inf") and 0 <= reg < float("inf")):
        raise ValueError(f"p = {p}, reg = {reg}: give p >= 1 and reg >= 0")
    if is_paper(convention):
        return (z - z_plus).abs().sum(-1).mean(-1)
    loss = (z - _layer_norm(z_plus)).abs().pow(p).mean((-2, -1)) / p
    if reg:
        loss = loss + reg * (1 - (z.var(-2) + 1e-4).sqrt()).relu().mean(-1)
    return loss


def mae(z: Tensor, z_plus: Tensor, *, mask: Tensor, unit_patches: bool = True) -> Tensor:
    """Σ_n m_n (1/d) ‖z_n - x_n‖² / Σ_n m_n  (…), z the reconstruction, x = z⁺ the pixels, of N patches.

    mask m (…, N): 1 for a patch the encoder did not see. unit_patches: each x_n centred and divided by
    √(Var + 1e-6), Var with 1/(d-1), the paper's better variant as its code has it (He et al. 2022, section 3);
    needs d >= 2; a constant patch becomes 0. A mask of zeros has no mean: NaN. A NaN in any patch, seen or not,
    propagates. Raises ValueError on shapes.
    """
    check_pair(z, z_plus)
    if mask.shape[-1:] != z.shape[-2:-1] or not meet(mask.shape[:-1], z.shape[:-2]):
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} beside patches {tuple(z.shape)}: give (…, {z.shape[-2]}) with their leading "
            "axes, 1 where a patch was hidden"
        )
    if unit_patches:
        if z.shape[-1] < 2:
            raise ValueError("a patch of one number has no variance: give d >= 2, or unit_patches=False")
        z_plus = (z_plus - z_plus.mean(-1, keepdim=True)) * (z_plus.var(-1, keepdim=True) + 1e-6).rsqrt()
    m = mask.to(z.dtype)
    return ((z - z_plus).square().mean(-1) * m).sum(-1) / m.sum(-1)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """-(1/N) Σ_n log [ exp z_{n,y_n} / Σ_c exp z_nc ]  (…), nats; z (…, N, classes) logits, y (…, N) integer labels.

    Equal logits: log(classes). Raises ValueError on shapes and types; a label outside the classes is torch's.
    """
    if z.ndim < 2 or y.shape != z.shape[:-1]:
        raise ValueError(f"logits {tuple(z.shape)} and labels {tuple(y.shape)}: give (…, N, classes) and (…, N)")
    whole = not (y.is_floating_point() or y.is_complex() or y.dtype == torch.bool)
    if z.shape[-2] < 1 or z.shape[-1] < 1 or not (z.is_floating_point() and whole):
        raise ValueError(
            f"labels of {y.dtype} for {tuple(z.shape[-2:])} logits of {z.dtype}: give N >= 1 integer class numbers and "
            "floating logits"
        )
    return (z.logsumexp(-1) - z.gather(-1, y.long()[..., None])[..., 0]).mean(-1)


def _layer_norm(z: Tensor) -> Tensor:
    return F.layer_norm(z, z.shape[-1:])
