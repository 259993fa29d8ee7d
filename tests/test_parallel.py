"""Two gloo processes are one: gradients of losses of a gathered batch equal those of a single process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dynamics.setting import SettingError
from full_models import losses, parallel
from full_models.parallel import World, gather, whole_batch, world

PROCESSES, N, D, K = 2, 12, 6, 4
TASKS = Path("/proc/self/task")  # a folder a thread, with its name in `comm`; only Linux has it
LOSSES: dict[str, Callable[..., Tensor]] = {
    "nt_xent": losses.nt_xent,
    "info_nce": losses.info_nce,
    "vicreg": losses.vicreg,
    "barlow_twins": losses.barlow_twins,
    "spectral": losses.spectral_contrastive,
    "invariance": losses.invariance,  # a mean over samples: the control that needs no gathering
}


def views() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=g, dtype=torch.float64)
    return x, x + 0.3 * torch.randn(N, D, generator=g, dtype=torch.float64)


class Embedding(nn.Module):
    """tanh(W x), then the loss through the seam under test, as a method's `loss` does it."""

    def __init__(self, loss: Callable[..., Tensor], seam: Callable[..., Tensor]) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.W = nn.Parameter(torch.randn(K, D, generator=g, dtype=torch.float64))
        self.loss, self.seam = loss, seam

    def forward(self, x: Tensor, x_plus: Tensor) -> Tensor:
        return self.seam(self.loss, torch.tanh(x @ self.W.T), torch.tanh(x_plus @ self.W.T))


def local(loss: Callable[..., Tensor], *z: Tensor) -> Tensor:
    """The defect: each process's loss of its own rows."""
    return loss(*z)


def blind(loss: Callable[..., Tensor], *z: Tensor) -> Tensor:
    """The defect: other processes' rows are there, but autograd sees the own ones only."""
    return loss(*(_blind(a) for a in z))


def _blind(z: Tensor) -> Tensor:
    parts = [torch.empty_like(z) for _ in range(PROCESSES)]
    dist.all_gather(parts, z.detach().contiguous())
    parts[dist.get_rank()] = z
    return torch.cat(parts)


def worker(rank: int, folder: str) -> None:
    """Writes what `gathered` finds, and the threads that are left once the processes have parted."""
    torch.set_num_threads(1)
    with parallel.joined("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES):
        torch.save(gathered(rank), f"{folder}/{rank}.pt")
    Path(f"{folder}/{rank}.threads").write_text("".join(name.read_text() for name in TASKS.glob("*/comm")))


def gathered(rank: int) -> dict[str, Tensor]:
    """Gradients of every loss through every seam, as DistributedDataParallel leaves them."""
    share = N // PROCESSES
    mine = slice(rank * share, (rank + 1) * share)
    out: dict[str, Tensor] = {}
    for name, loss in LOSSES.items():
        for seam in (whole_batch, local, blind):
            network = DistributedDataParallel(Embedding(loss, seam))
            value = network(*(x[mine] for x in views()))
            value.backward()
            gradient = network.module.W.grad
            assert gradient is not None
            out |= {f"{name} {seam.__name__}": gradient, f"{name} {seam.__name__} value": value.detach()}
    z = (torch.arange(1.0, 4.0, dtype=torch.float64) + 10 * rank).requires_grad_()
    (slope,) = torch.autograd.grad(gather(z).pow(3).sum(), z, create_graph=True)
    (bend,) = torch.autograd.grad(slope.pow(2).sum(), z)
    out |= {"z": z.detach(), "slope": slope.detach(), "bend": bend}
    rows = torch.arange(3) + 10 * rank
    out["rows"] = gather(rows)
    out["world"] = torch.tensor(world())
    return out


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the processes have met, and written."""
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(worker, args=(str(folder),), nprocs=PROCESSES)  # pyright: ignore[reportPrivateImportUsage]
    return folder


@pytest.fixture(scope="module")
def measured(met: Path) -> list[dict[str, Tensor]]:
    return [torch.load(met / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


def alone(name: str) -> tuple[Tensor, Tensor]:
    network = Embedding(LOSSES[name], whole_batch)
    value = network(*views())
    value.backward()
    assert network.W.grad is not None
    return value.detach(), network.W.grad


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("name", LOSSES)
def test_gathered_gradients_are_those_of_one_process(measured: list[dict[str, Tensor]], name: str) -> None:
    value, gradient = alone(name)
    for process in measured:
        assert relative(process[f"{name} whole_batch"], gradient) < 1e-13  # float64 sums of 12 rows in another order
        assert relative(process[f"{name} whole_batch value"], value) < 1e-13  # the same


@pytest.mark.parametrize("name", [n for n in LOSSES if n != "invariance"])
@pytest.mark.parametrize("defect", ["local", "blind"])
def test_the_known_defects_are_told(measured: list[dict[str, Tensor]], name: str, defect: str) -> None:
    _, gradient = alone(name)
    assert relative(measured[0][f"{name} {defect}"], gradient) > 0.01  # 1e11 times what the right gather is allowed


def test_a_mean_over_samples_needs_no_gathering_but_an_average(measured: list[dict[str, Tensor]]) -> None:
    _, gradient = alone("invariance")
    assert relative(measured[0]["invariance local"], gradient) < 1e-13  # float64 sums of 12 rows in another order
    factor = measured[0]["invariance blind"] / gradient
    assert torch.allclose(factor, torch.full_like(factor, 1 / PROCESSES), rtol=1e-12)  # rounding; the lost factor W


def test_rows_come_in_the_order_of_ranks(measured: list[dict[str, Tensor]]) -> None:
    for rank, process in enumerate(measured):
        assert process["rows"].tolist() == [0, 1, 2, 10, 11, 12]
        assert process["world"].tolist() == [rank, PROCESSES]


def test_a_gather_is_differentiable_twice(measured: list[dict[str, Tensor]]) -> None:
    """L = Σ z³ of all rows on each of W processes: W 3z², and of the sum of its squares W² 36z³."""
    for process in measured:
        z = process["z"]
        assert torch.equal(process["slope"], PROCESSES * 3 * z**2)  # whole numbers below 2^53
        assert torch.equal(process["bend"], PROCESSES**2 * 36 * z**3)  # whole numbers below 2^53


@pytest.mark.skipif(not TASKS.is_dir(), reason="reads /proc, which only Linux has")
def test_no_thread_of_gloo_outlives_the_group(met: Path) -> None:
    """One that still listens while Python ends hears the other process hang up, in a process half taken down."""
    for rank in range(PROCESSES):
        names = (met / f"{rank}.threads").read_text().split()
        assert names and not [name for name in names if "gloo" in name]


def test_one_process_gathers_nothing() -> None:
    z = torch.zeros(3, 2)
    assert world() == World(0, 1)
    assert gather(z) is z


def test_a_loss_is_taken_in_float32_outside_autocast() -> None:
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = whole_batch(partial(losses.nt_xent, tau=0.005), z, -z)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, losses.nt_xent(z.float(), -z.float(), tau=0.005))


def test_batches_that_do_not_divide_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "world", lambda: World(0, 3))
    parallel.check_batch(9)
    with pytest.raises(SettingError, match="multiple"):
        parallel.check_batch(10)
