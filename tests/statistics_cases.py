"""Cases of losses that look at the statistics of a batch."""

from __future__ import annotations

from functools import partial

from loss_case import ONE, REF, Case, tensor
from loss_oracles import barlow, fixed, lejepa, matrix_ssl, sigreg, vicreg

import full_models.losses as L

VIC = {"lam": 3.0, "mu": 2.0, "nu": 0.7}
MAT = {"gamma": 0.6, "lam": 0.4}


def _with_directions(loss, z, w, **how):
    return loss(z, w, directions=tensor(fixed(4, z.shape[-1], 6), z), **how)


STATISTICS = [
    Case(
        "vicreg",
        partial(L.vicreg, **VIC),
        vicreg,
        least=2,
        rotation=False,
        mutants={
            "ddof": partial(vicreg, ddof=0),
            "halved": partial(vicreg, halve=True),
            "mse": partial(vicreg, per_dim=True),
            "eps outside": partial(vicreg, outside=True),
            "nu": partial(vicreg, nu=0.35),
        },
    ),
    Case(
        "vicreg reference",
        partial(L.vicreg, **VIC, **REF),
        partial(vicreg, per_dim=True, halve=True),
        least=2,
        rotation=False,
        mutants={"paper": vicreg, "solo": partial(vicreg, per_dim=True)},
    ),
    Case(
        "barlow_twins",
        partial(L.barlow_twins, lam=0.3),
        barlow,
        least=2,
        rotation=False,
        scale_free=True,
        spread=True,
        mutants={
            "eps": partial(barlow, eps=1e-5),
            "uncentred": partial(barlow, centred=False),
            "lam": partial(barlow, lam=0.2),
        },
    ),
    Case(
        "barlow_twins reference",
        partial(L.barlow_twins, lam=0.3, **REF),
        partial(barlow, eps=1e-5),
        least=2,
        rotation=False,
        mutants={"ddof": partial(barlow, eps=1e-5, ddof=1), "eps": partial(barlow, eps=1e-3)},
    ),
    Case(
        "matrix_ssl",
        partial(L.matrix_ssl, **MAT),
        matrix_ssl,
        least=2,
        scale_free=True,
        **ONE,
        mutants={
            "no trace": partial(matrix_ssl, with_trace=False),
            "gamma": partial(matrix_ssl, gamma=0.5),
            "taylor": partial(matrix_ssl, order=4),
        },
    ),
    Case(
        "matrix_ssl reference",
        partial(L.matrix_ssl, **MAT, **REF),
        partial(matrix_ssl, order=4),
        least=2,
        scale_free=True,
        **ONE,
        mutants={"order": partial(matrix_ssl, order=5), "exact": matrix_ssl},
    ),
    Case(
        "sigreg",
        partial(_with_directions, L.sigreg),
        sigreg,
        rotation=False,
        mutants={"range": partial(sigreg, low=-3.0, high=3.0), "no N": partial(sigreg, times_n=False)},
    ),
    Case(
        "sigreg reference",
        partial(_with_directions, L.sigreg, **REF),
        partial(sigreg, low=0.0, high=3.0, fold=2),
        rotation=False,
        mutants={"not doubled": partial(sigreg, low=0.0, high=3.0), "paper": sigreg},
    ),
    Case(
        "lejepa",
        partial(_with_directions, L.lejepa, lam=0.3),
        lejepa,
        rotation=False,
        mutants={"lam": partial(lejepa, lam=0.4), "sum over d": partial(lejepa, per_dim=False)},
    ),
]
