"""What losses cannot take is one sentence with its remedy."""

from __future__ import annotations

import math

import pytest
import torch
from loss_case import Case
from loss_cases import ALL, CASES

import full_models.losses as L

torch.set_num_threads(1)


@ALL
def test_mismatched_shapes_raise_one_sentence(case: Case):
    z = torch.zeros(4, 3)
    for a, b in ((z, torch.zeros(4, 2)), (z, torch.zeros(2, 4, 3)), (z[0], z[0]), (z.long(), z.long()), (z[:0], z[:0])):
        with pytest.raises(ValueError, match=r"give|needs") as error:
            case.loss(a, b)
        assert "\n" not in str(error.value)
    for a, b in ((z, z.double()), (z.long(), z.long())):
        with pytest.raises(ValueError, match=r"give .*floating") as error:
            case.loss(a, b)
        assert "\n" not in str(error.value)


Z = torch.ones(4, 3)
INF, NAN = math.inf, math.nan
BAD = {
    "tau": lambda: L.nt_xent(Z, Z, tau=0.0),
    "tau nan": lambda: L.info_nce(Z, Z, tau=math.nan),
    "critic": lambda: L.info_nce(Z, Z, critic="euclid"),
    "M missing": lambda: L.info_nce(Z, Z, critic="bilinear"),
    "M unused": lambda: L.info_nce(Z, Z, M=torch.eye(3)),
    "M shape": lambda: L.info_nce(Z, Z, critic="bilinear", M=torch.eye(2)),
    "M type": lambda: L.info_nce(Z, Z, critic="bilinear", M=torch.eye(3).double()),
    "M's networks": lambda: L.info_nce(*[Z.expand(2, 4, 3)] * 2, critic="bilinear", M=torch.ones(3, 3, 3)),
    "tau inf": lambda: L.decoupled_contrastive(Z, Z, tau=INF),
    "tau below the type": lambda: L.info_nce(Z, Z, tau=1e-100),
    "tau below float64": lambda: L.nt_xent(Z.double(), Z.double(), tau=1e-310),
    "tau above the type": lambda: L.nt_xent(Z, Z, tau=1e39),
    "tau of the queue": lambda: L.queue_info_nce(Z, Z, queue=Z, tau=-1.0),
    "tau of many": lambda: L.info_nce(Z, Z, tau=torch.ones(2)),
    "tau none": lambda: L.info_nce(Z, Z, tau=None),
    "tau a word": lambda: L.info_nce(Z, Z, tau="0.1"),
    "tau complex": lambda: L.nt_xent(Z, Z, tau=torch.tensor(1j)),
    "b": lambda: L.nce(Z, Z, b=NAN),
    "b a word": lambda: L.nce(Z, Z, b="a"),
    "mu of the clip": lambda: L.spectral_contrastive(Z, Z, mu=0.0),
    "mu of the ridge": lambda: L.matrix_ssl(Z, Z, mu=-1.0, convention="reference"),
    "a ridge that no rule resolves": lambda: L.matrix_ssl(Z, Z, mu=1e-12),
    "a ridge beside which 1 is nothing": lambda: L.matrix_ssl(Z, Z, mu=1e17),
    "weights of matrix_ssl": lambda: L.matrix_ssl(Z, Z, gamma=NAN),
    "lam of matrix_ssl": lambda: L.matrix_ssl(Z, Z, lam=INF),
    "alpha": lambda: L.alignment(Z, Z, alpha=0.0),
    "t": lambda: L.uniformity(Z, Z, t=-2.0),
    "t inf": lambda: L.uniformity(Z, t=INF),
    "queue": lambda: L.queue_info_nce(Z, Z, queue=torch.ones(5, 2)),
    "queue of one row": lambda: L.queue_info_nce(Z, Z, queue=Z[0]),
    "queue type": lambda: L.queue_info_nce(Z, Z, queue=Z.double()),
    "empty queue": lambda: L.queue_info_nce(Z, Z, queue=torch.ones(0, 3)),
    "directions": lambda: L.sigreg(Z, Z, directions=torch.ones(2, 5)),
    "no directions given": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 0)),
    "directions type": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5).double()),
    "knots": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5), knots=1),
    "a knot in words": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5), knots="9"),
    "half a knot": lambda: L.sigreg(Z, Z, directions=torch.ones(3, 5), knots=2.5),
    "knots nan": lambda: L.lejepa(Z, Z, directions=torch.ones(3, 5), knots=NAN),
    "lam of lejepa": lambda: L.lejepa(Z, Z, directions=torch.ones(3, 5), lam=NAN),
    "eps": lambda: L.vicreg(Z, Z, eps=0.0),
    "eps of the batch norm": lambda: L.barlow_twins(Z, Z, eps=0.0, convention="reference"),
    "lam of barlow_twins": lambda: L.barlow_twins(Z, Z, lam=-INF),
    **{f"{name} of vicreg": lambda n=name: L.vicreg(Z, Z, **{n: NAN}) for name in ("lam", "mu", "nu", "gamma")},
    "p": lambda: L.v_jepa(Z, Z, p=0.5),
    "p inf": lambda: L.v_jepa(Z, Z, p=INF),
    "reg": lambda: L.v_jepa(Z, Z, reg=-0.5),
    "M blocks": lambda: L.jepa(Z, Z, M=0),
    "half a block": lambda: L.jepa(Z, Z, M=0.5),
    "beta": lambda: L.jepa(Z, Z, beta=0.0, convention="reference"),
    "mask": lambda: L.mae(Z, Z, mask=torch.ones(3)),
    "mask's networks": lambda: L.mae(*[Z.expand(2, 4, 3)] * 2, mask=torch.ones(3, 4)),
    "one pixel": lambda: L.mae(Z[:, :1], Z[:, :1], mask=torch.ones(4)),
    "labels": lambda: L.cross_entropy(Z, torch.zeros(4)),
    "labels shape": lambda: L.cross_entropy(Z, torch.zeros(3, dtype=torch.long)),
    "labels bool": lambda: L.cross_entropy(Z, torch.zeros(4, dtype=torch.bool)),
    "labels complex": lambda: L.cross_entropy(Z, torch.zeros(4, dtype=torch.complex64)),
    "logits": lambda: L.cross_entropy(Z.long(), torch.zeros(4, dtype=torch.long)),
    "no dimensions": lambda: L.random_directions(0, 3, torch.Generator()),
    "no directions": lambda: L.random_directions(3, 0, torch.Generator()),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_arguments_raise_one_sentence(bad: str):
    with pytest.raises(ValueError, match=r"give|belongs|not known|not one of") as error:
        BAD[bad]()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", [c for c in CASES if c.name.endswith("reference")], ids=lambda c: c.name)
def test_an_unknown_convention_is_named(case: Case):
    with pytest.raises(ValueError, match="'theory' is not known: use 'paper' or 'reference'"):
        case.loss.func(*case.loss.args, Z, Z, **{**case.loss.keywords, "convention": "theory"})
