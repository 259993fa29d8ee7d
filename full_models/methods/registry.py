"""All methods by name, and `build`, which makes one from its name, the shape of an image and options."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

import torch
from torch import nn

from full_models import networks
from full_models.methods import latent, masked, pairs
from full_models.methods.method import Kind, Method, MethodError
from full_models.methods.parts import Parts
from full_models.methods.projector import Head

HEAD_OPTIONS = tuple(option.name for option in fields(Head))
# Projectors at the scale of digits; the papers' are 128 to 8192 wide.
MLP = Head()
WIDE = Head(dim=256, layers=3)  # VICReg, Barlow Twins: three layers, d at least the number of features
SIMSIAM = Head(layers=3, output_norm=True)


@dataclass(frozen=True)
class MethodSpec:
    """make(parts, **options) builds it; head: its projector's defaults, None where it has none; preset: the options
    that make an ablation of its parent, which may still be given.

    collapses: what the source leads one to expect, to be compared with what is measured. True for an ablation whose
    embedding loses all spread, or all but a few of the dimensions that its parent keeps; None where the question has no
    plain answer (the baselines, an optimal predictor, and masked methods, whose images may differ little beside what all
    tokens share). paper: where the method is from.
    """

    make: Callable[..., Method]
    kind: Kind
    collapses: bool | None
    says: str
    paper: str
    head: Head | None = MLP
    preset: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = "mlp"

    def options(self) -> dict[str, Any]:
        """The options that `build` takes for this method, with their defaults."""
        parameters = inspect.signature(self.make).parameters.values()
        own = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        head = {name: getattr(self.head, name) for name in HEAD_OPTIONS} if self.head else {}
        return {**head, **own, **self.preset}

    def types(self) -> dict[str, Any]:
        """The type of each option, as its builder or the projector declares it."""
        return {**get_type_hints(Head), **get_type_hints(self.make)}


# fmt: off
METHODS: dict[str, MethodSpec] = {
    "simclr": MethodSpec(pairs.simclr, "pair", False, "NT-Xent over the 2N views of a batch", "Chen et al. 2020, arXiv:2002.05709"),
    "info-nce": MethodSpec(pairs.info_nce, "pair", False, "CPC's InfoNCE with a learned log-bilinear score", "van den Oord et al. 2018, arXiv:1807.03748"),
    "nce": MethodSpec(pairs.nce, "pair", False, "binary noise-contrastive estimation", "Gutmann & Hyvärinen 2010"),
    "moco": MethodSpec(pairs.moco, "pair", False, "a queue of keys from a moving-average encoder", "He et al. 2020, arXiv:1911.05722"),
    "dcl": MethodSpec(pairs.decoupled, "pair", False, "NT-Xent without the positive in the denominator", "Yeh et al. 2022, arXiv:2110.06848"),
    "align-uniform": MethodSpec(pairs.align_uniform, "pair", False, "alignment and uniformity on the sphere", "Wang & Isola 2020, arXiv:2005.10242"),
    "spectral": MethodSpec(pairs.spectral, "pair", False, "spectral contrastive loss", "HaoChen et al. 2021, arXiv:2106.04156"),
    "vicreg": MethodSpec(pairs.vicreg, "pair", False, "variance, invariance and covariance terms", "Bardes et al. 2022, arXiv:2105.04906", WIDE),
    "barlow-twins": MethodSpec(pairs.barlow_twins, "pair", False, "cross-correlation of the views towards I", "Zbontar et al. 2021, arXiv:2103.03230", WIDE),
    "matrix-ssl": MethodSpec(latent.matrix_ssl, "pair", False, "matrix cross-entropy of covariances", "Zhang et al. 2023, arXiv:2305.17326", SIMSIAM),
    "lejepa": MethodSpec(pairs.lejepa, "pair", False, "invariance and a Gaussianity test on random directions", "Balestriero & LeCun 2025, arXiv:2511.08544"),
    "directclr": MethodSpec(pairs.direct_clr, "pair", False, "InfoNCE on a part of the features, no projector", "Jing et al. 2022, arXiv:2110.09348", None),
    "byol": MethodSpec(latent.byol, "pair", False, "predictor and a moving-average target", "Grill et al. 2020, arXiv:2006.07733"),
    "simsiam": MethodSpec(latent.simsiam, "pair", False, "predictor and stop-gradient", "Chen & He 2021, arXiv:2011.10566", SIMSIAM),
    "optimal-predictor": MethodSpec(latent.optimal_predictor, "pair", None, "the least-squares predictor of each batch", "Chen & He 2021, arXiv:2011.10566"),
    "directpred": MethodSpec(latent.directpred, "pair", False, "predictor from the eigenvalues of F = E[z zᵀ]", "Tian et al. 2021, arXiv:2102.06810"),
    "directset": MethodSpec(latent.directset, "pair", False, "predictor F^alpha + eps I; alpha = 1 is DirectCopy", "Wang et al. 2021, arXiv:2110.04947"),
    "i-jepa": MethodSpec(masked.ijepa, "image", None, "masked patches predicted in latent space", "Assran et al. 2023, arXiv:2301.08243", None, encoder="vit-micro"),
    "v-jepa": MethodSpec(masked.vjepa, "frames", None, "masked patches of clips predicted in latent space", "Bardes et al. 2024, arXiv:2404.08471", None, encoder="vit-micro"),
    "mae": MethodSpec(masked.mae, "image", None, "masked patches predicted in pixels", "He et al. 2022, arXiv:2111.06377", None, encoder="vit-micro"),
    "supervised": MethodSpec(pairs.supervised, "pair", False, "cross-entropy on labels, same encoder", "baseline", None),
    "random": MethodSpec(pairs.untrained, "pair", None, "the untrained encoder", "baseline", None),
    "invariance": MethodSpec(pairs.invariance, "pair", True, "the invariance loss alone", "ablation"),
    "align-only": MethodSpec(pairs.align_uniform, "pair", True, "alignment without uniformity", "ablation, Wang & Isola 2020, figure 7", preset={"uniform": 0.0}),
    "simsiam-no-predictor": MethodSpec(latent.simsiam, "pair", True, "SimSiam without its predictor", "ablation, Chen & He 2021, table 1", SIMSIAM, {"predictor": "none"}),
    "simsiam-no-stopgrad": MethodSpec(latent.simsiam, "pair", True, "SimSiam with the gradient through both branches", "ablation, Chen & He 2021, figure 2", SIMSIAM, {"stop": False}),
    "byol-no-predictor": MethodSpec(latent.byol, "pair", True, "BYOL without its predictor", "ablation, Grill et al. 2020, table 5", preset={"predictor": "none"}),
    "vicreg-no-variance": MethodSpec(pairs.vicreg, "pair", True, "VICReg without its variance term", "ablation, Bardes et al. 2022, table 7", WIDE, {"mu": 0.0}),
    "vicreg-no-covariance": MethodSpec(pairs.vicreg, "pair", True, "VICReg without its covariance term", "ablation, Bardes et al. 2022, table 7", WIDE, {"nu": 0.0}),
    "barlow-twins-no-redundancy": MethodSpec(pairs.barlow_twins, "pair", True, "Barlow Twins without its off-diagonal term", "ablation", WIDE, {"lam": 0.0}),
}
# fmt: on


def build(
    name: str,
    shape: tuple[int, int, int],
    *,
    encoder: str | None = None,
    width: int | None = None,
    generator: torch.Generator,
    **options: Any,
) -> Method:
    """The method `name` for images of that shape (c, h, w), its first parameters drawn from the generator alone.

    encoder, width: of `full_models.networks.encoder` (None: the method's own choice). options: those of
    `METHODS[name].options()`, among them the projector's (`Head`), such as dim. Raises ValueError on an unknown name or
    option, and where a value is of another type or makes no sense.
    """
    spec = specification(name)
    network = networks.encoder(encoder or spec.encoder, shape, width=width, generator=generator)
    return assemble(name, network, generator, **options)


def assemble(name: str, encoder: nn.Module, generator: torch.Generator, **options: Any) -> Method:
    """The method `name` round an encoder that is there already, any module with an attribute `features`. As `build`."""
    spec = specification(name)
    allowed, types = spec.options(), spec.types()
    for option, value in options.items():
        if option not in allowed:
            raise MethodError(f"{name} has no option {option!r}: it takes {', '.join(allowed) or 'none'}")
        _check_type(option, types[option], value)
    own = inspect.signature(spec.make).parameters
    chosen = {**spec.preset, **options}
    head = Head("none")
    if spec.head is not None:
        head = replace(spec.head, **{key: value for key, value in chosen.items() if key not in own})
    return spec.make(Parts(encoder, generator, head), **{key: value for key, value in chosen.items() if key in own})


def specification(name: str) -> MethodSpec:
    """The entry of METHODS; raises MethodError, with the names there are, on another name."""
    if name not in METHODS:
        raise MethodError(f"method {name!r} is not known: use one of {', '.join(METHODS)}")
    return METHODS[name]


WANTED = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a word"}


def _check_type(option: str, hint: Any, value: Any) -> None:
    """Raises MethodError unless the value is of the option's type: any word is true, so a misspelt "false" would train the
    opposite of what was asked for."""
    kinds = get_args(hint) or (hint,)
    fits = {bool: isinstance(value, bool), str: isinstance(value, str), type(None): value is None,
            int: isinstance(value, int) and not isinstance(value, bool)}  # fmt: skip
    fits[float] = fits[int] or (isinstance(value, float) and math.isfinite(value))
    if not any(fits[kind] for kind in kinds):
        wanted = " or ".join(WANTED.get(kind, "null") for kind in kinds)
        raise MethodError(f"{option} = {value!r}: give {wanted}")
    if fits[int] and abs(value) >= 2**63:  # which torch, or a float, cannot hold
        raise MethodError(f"{option} = {value}: give a smaller number")
