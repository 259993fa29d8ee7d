"""Cases of losses that tell a pair from other samples."""

from __future__ import annotations

from functools import partial

from loss_case import ONE, REF, Case, tensor
from loss_oracles import LD, alignment, fixed, info_nce, nce, nt_xent, queue_info_nce, spectral, uniformity

import full_models.losses as L


def _bilinear(z, w):
    return L.info_nce(z, w, tau=1.5, critic="bilinear", M=tensor(fixed(2, z.shape[-1], z.shape[-1]), z))


def _bilinear_oracle(z, w, tau=1.5, transpose=False):
    M = fixed(2, z.shape[1], z.shape[1])
    return info_nce(z, w, tau, "dot", M=M.T if transpose else M)


def _queue(z, w):
    return L.queue_info_nce(z, w, queue=tensor(fixed(3, 5, z.shape[-1]), z), tau=0.2)


CONTRASTIVE = [
    Case(
        "info_nce cosine",
        partial(L.info_nce, tau=0.2),
        info_nce,
        scale_free=True,
        **ONE,
        mutants={
            "tau": partial(info_nce, tau=0.21),
            "sign": partial(info_nce, sign=-1),
            "dot": partial(info_nce, critic="dot"),
        },
    ),
    Case(
        "info_nce dot",
        partial(L.info_nce, tau=2.0, critic="dot"),
        partial(info_nce, tau=2.0, critic="dot"),
        **ONE,
        mutants={"tau": partial(info_nce, tau=4.0, critic="dot")},
    ),
    Case(
        "info_nce bilinear",
        _bilinear,
        _bilinear_oracle,
        rotation=False,
        **ONE,
        mutants={"transpose": partial(_bilinear_oracle, transpose=True), "tau": partial(_bilinear_oracle, tau=1.0)},
    ),
    Case(
        "nce",
        partial(L.nce, tau=1.5),
        nce,
        least=2,
        mutants={"no bias": partial(nce, b=0.0), "weight": partial(nce, weight=0.5), "tau": partial(nce, tau=1.4)},
    ),
    Case(
        "nce sigmoid",
        partial(L.nce, tau=0.3, critic="cosine", b=-2.0),
        partial(nce, tau=0.3, critic="cosine", b=LD(-2)),
        least=2,
        scale_free=True,
        mutants={"bias": partial(nce, tau=0.3, critic="cosine", b=LD(2))},
    ),
    Case(
        "nt_xent",
        L.nt_xent,
        nt_xent,
        scale_free=True,
        mutants={
            "tau": partial(nt_xent, tau=0.49),
            "twice": partial(nt_xent, factor=2),
            "cross": partial(nt_xent, same_view=False),
            "decoupled": partial(nt_xent, partner=False),
        },
    ),
    Case(
        "nt_xent reference",
        partial(L.nt_xent, **REF),
        partial(nt_xent, factor=2),
        scale_free=True,
        mutants={"mean": nt_xent},
    ),
    Case(
        "decoupled_contrastive",
        partial(L.decoupled_contrastive, tau=0.5),
        partial(nt_xent, partner=False),
        least=2,
        scale_free=True,
        mutants={"coupled": nt_xent},
    ),
    Case("alignment", L.alignment, alignment, scale_free=True, mutants={"alpha": partial(alignment, alpha=1)}),
    Case(
        "alignment alpha=1",
        partial(L.alignment, alpha=1.0),
        partial(alignment, alpha=1),
        scale_free=True,
        apart=True,
        mutants={"alpha": alignment},
    ),
    Case(
        "uniformity",
        L.uniformity,
        uniformity,
        least=2,
        scale_free=True,
        mutants={"t": partial(uniformity, t=1.0), "i = j": partial(uniformity, diagonal=True)},
    ),
    Case(
        "queue_info_nce",
        _queue,
        queue_info_nce,
        rotation=False,
        scale_free=True,
        **ONE,
        mutants={"own key": partial(queue_info_nce, own=1), "tau": partial(queue_info_nce, tau=0.07)},
    ),
    Case(
        "spectral_contrastive",
        L.spectral_contrastive,
        spectral,
        least=2,
        mutants={"count": partial(spectral, count=0), "clip": partial(spectral, mu=1.0)},
    ),
    Case(
        "spectral_contrastive reference",
        partial(L.spectral_contrastive, mu=0.7, **REF),
        partial(spectral, mu=0.7),
        least=2,
        mutants={"no clip": spectral, "mu": partial(spectral, mu=1.0)},
    ),
]
