"""The methods that predict one view's embedding from the other's, each a few lines: which parts, which defaults.

A predictor learns at the rate of the rest, as in the papers, unless five seeds on digits show at 4 standard errors that a
method then keeps no more directions than without a predictor, or probes worse than at ten times that rate (Grill et al.
2020 raise it in the same way where there is no moving average). `python -m benchmarks.digits_methods --predictor-rates`
measures it, benchmarks/results/predictor_rates.md is the record.
"""

from __future__ import annotations

from functools import partial

import torch

from full_models import losses, networks
from full_models.methods.analytic import AnalyticPredictor, Rule, direct_pred, direct_set, optimal
from full_models.methods.method import Method
from full_models.methods.parts import Parts
from full_models.methods.predictor import predictor as learned_predictor
from full_models.methods.siamese import LatentPrediction
from full_models.methods.target import average


def byol(
    parts: Parts,
    *,
    predictor: str = "mlp",
    predictor_hidden: int | None = None,
    predictor_rate: float = 1.0,
    ema: float = 0.99,
    schedule: str = "cosine",
    unit: bool = True,
) -> Method:
    """BYOL: MLP predictor, moving-average target, sum of both directions of 2 - 2 cos; unit=False is Euclidean.

    predictor_hidden None is the projector's hidden width, as in the paper (4096 both). The paper's average starts at
    0.996 for 1000 epochs and at 0.99 for 300 (Grill et al. 2020, appendix).
    """
    encoder, projector = parts.encoder, parts.projector()
    return LatentPrediction(
        encoder,
        projector,
        learned_predictor(predictor, parts.d, parts.generator, given(predictor_hidden, parts.head.hidden)),
        partial(losses.predictor_mse, unit=unit),
        target=average(encoder, projector, ema, schedule),
        weight=1.0,
        predictor_rate=predictor_rate,
    )


def simsiam(
    parts: Parts,
    *,
    predictor: str = "mlp",
    predictor_hidden: int | None = None,
    predictor_rate: float = 1.0,
    predictor_fixed: bool = True,
    stop: bool = True,
    unit: bool = True,
) -> Method:
    """SimSiam: bottleneck predictor at a constant rate, stop-gradient (Chen & He 2021, sections 3 and 4.2).

    predictor_hidden None is d/4, as in the paper. stop=False and predictor="none" are its ablations. unit=False is the
    Euclidean loss of the linear theory, as ½ the sum of both directions. Short runs may want a
    predictor_rate of 10: see the record.
    """
    return LatentPrediction(
        parts.encoder,
        parts.projector(),
        learned_predictor(predictor, parts.d, parts.generator, given(predictor_hidden, max(1, parts.d // 4))),
        losses.negative_cosine if unit else losses.predictor_mse,
        stop=stop,
        predictor_rate=predictor_rate,
        predictor_fixed=predictor_fixed,
    )


def matrix_ssl(
    parts: Parts,
    *,
    predictor: str = "mlp",
    predictor_hidden: int | None = None,
    predictor_rate: float = 10.0,
    ema: float = 0.99,
    schedule: str = "cosine",
    gamma: float = 1.0,
    lam: float = 0.5,
    mu: float = 0.5,
    convention: str = "reference",
) -> Method:
    """Matrix-SSL between prediction and moving-average target, mean of both directions, as the authors' code has it.

    lam = mu = 0.5, gamma = 1, the fourth-order logarithm, which has no NaN (Zhang et al. 2023). Without the target's
    stop-gradient this loss has its minimum at rank one. The networks are SimSiam's, as in MEC, on whose code the authors
    built, with an average that starts at 0.996 there. The predictor's rate is 10:
    in the record a rate of 1 is not told from no predictor.
    """
    encoder, projector = parts.encoder, parts.projector()
    return LatentPrediction(
        encoder,
        projector,
        learned_predictor(predictor, parts.d, parts.generator, given(predictor_hidden, max(1, parts.d // 4))),
        partial(losses.matrix_ssl, gamma=gamma, lam=lam, mu=mu, convention=convention),
        target=average(encoder, projector, ema, schedule),
        predictor_rate=predictor_rate,
    )


def optimal_predictor(
    parts: Parts, *, rho: float = 0.0, freq: int = 1, ema: float | None = None, unit: bool = True
) -> Method:
    """The predictor is the least-squares one of the last batch's embeddings (rho = 0) or of a running average."""
    return _analytic(parts, optimal, rho, freq, ema, "constant", unit)


def directpred(
    parts: Parts,
    *,
    eps: float = 0.1,
    rho: float = 0.3,
    freq: int = 1,
    ema: float | None = 0.99,
    schedule: str = "cosine",
    unit: bool = True,
    convention: str = "paper",
) -> Method:
    """DirectPred at eps = 0.1, rho = 0.3, Tian et al.'s best on STL-10 (table 6), in BYOL; ema=None is in SimSiam."""
    direct_pred(torch.eye(1), eps, convention)  # a wrong word is told now, not after the first step
    return _analytic(parts, lambda F, C: direct_pred(F, eps, convention), rho, freq, ema, schedule, unit)


def directset(
    parts: Parts,
    *,
    alpha: float = 1.0,
    eps: float = 0.3,
    rho: float = 0.5,
    freq: int = 1,
    ema: float | None = 0.99,
    schedule: str = "cosine",
    unit: bool = True,
    norm: str = "spectral",
) -> Method:
    """DirectSet(alpha), alpha = 1 DirectCopy; eps = 0.3, rho = 0.5 as public reproductions set them; ema=None: SimSiam."""
    direct_set(torch.eye(1), alpha, eps, norm)  # likewise
    return _analytic(parts, lambda F, C: direct_set(F, alpha, eps, norm), rho, freq, ema, schedule, unit)


def given(value: int | None, otherwise: int) -> int:
    """value, or otherwise where it is None."""
    return otherwise if value is None else value


def _analytic(parts: Parts, rule: Rule, rho: float, freq: int, ema: float | None, schedule: str, unit: bool) -> Method:
    encoder, projector = parts.encoder, parts.projector()
    return LatentPrediction(
        encoder,
        projector,
        networks.build(lambda: AnalyticPredictor(parts.d, rule, rho, freq), parts.generator),
        partial(losses.predictor_mse, unit=unit),
        target=None if ema is None else average(encoder, projector, ema, schedule),
        weight=1.0,
    )
