"""The hybrid training method as a LightningModule, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import cos, pi
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from livesnn.errors import TrainError
from livesnn.infer.decide import LEAK, leaky_weights
from livesnn.snn.network import SpikingNetwork, State, eval_mode
from livesnn.snn.sts_resnet import STSResNet
from livesnn.train.batches import AT_ONCE, Batch, augment, mirror
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import IGNORED, Parts, clip_random
from livesnn.train.final_weights import only
from livesnn.train.network import Network

THINNED, LEFT_OUT, SETTLED = 0.5, 0.15, 4
"""Of a read-out's training: the largest share of spikes that is taken away, the share of pooled cells that is left
out, and the first frame after a reset that is scored."""


class HybridModule(lightning.LightningModule):
    """Trains a network in two phases, with the same weights (paper, Section 4.1).

    Phase 1, the first `analog_epochs`, has no reset and a shifted leaky ReLU in every layer but the last (Eq. 6-7).
    Phase 2 has the step function and back-propagation through time with a surrogate for its derivative (STBP).
    Activations are computed in `livesnn.snn.lif`. What is minimised, with the window's mean output y and the layers'
    firing rates r, is as follows. The penalty, which the paper doesn't have, counts only in phase 2::

        loss(y, target) + rate_weight · mean(max(r − rate_target, 0))

    Streams may name more than the classes (`Streams.kinds`). The network then has outputs for these kinds too, behind
    those of the classes, and kinds_weight · cross-entropy(y, kind) is added: so it learns what tells any two
    movements apart.

    The learning-rate schedule needs the ``total_steps`` of the whole training. ``class_weights`` is float32 [K] (see
    `class_weights`), or None if all clips count alike. ``class_of`` int64 [outputs] is the class of each output
    (`Streams.class_of`), or None if every output is a class.
    """

    def __init__(
        self,
        net: Network,
        config: Configuration,
        total_steps: int,
        class_weights: Tensor | None = None,
        class_of: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.config = config
        self.total_steps = total_steps
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.class_of: Tensor | None
        self.register_buffer("class_of", class_of, persistent=False)
        self.classes = len(net.card.classes) if class_of is None else int(class_of.max()) + 1
        self.mirrored = config.mirrored(net.card.classes)

    def on_train_epoch_start(self) -> None:
        self.net.analog = self.current_epoch < self.config.analog_epochs

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss, figures = self.loss_of(batch, self.global_step)
        how = {"prog_bar": True, "batch_size": len(batch.labels), "sync_dist": self.trainer.world_size > 1}
        self.log_dict(figures, on_step=False, on_epoch=True, **how)
        return loss

    def loss_of(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch with its penalty, and the figures to log; ``step`` seeds burn-in and dropout."""
        frames, labels, numbers = batch
        seed, epoch = self.config.seed, self.current_epoch
        randoms = [clip_random("augment", seed, epoch, number) for number in numbers.tolist()]
        if self.mirrored:
            frames, labels = mirror(frames, labels, self.config.augmentation.mirror, randoms, self.mirrored)
        frames = augment(frames, self.config.augmentation, randoms)
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)
        torch.manual_seed(random.initial_seed() + self.global_rank)  # dropout: a resumed run repeats it
        if labels.ndim == 2:
            run = self._run_members if self.config.freeze else self._run_stretches
            outputs, kinds, rates = run(frames, labels, random)
            labels = kinds if self.class_of is None else self.class_of[kinds]
        else:
            outputs, _, rates = self.net.forward_rates(frames.transpose(0, 1), self._burn_in(frames, random))
        loss = self.loss(outputs, labels)
        if self.config.kinds_weight and self.class_of is not None:
            loss = loss + self.config.kinds_weight * F.cross_entropy(outputs[0], kinds)
        if not loss.isfinite():
            raise TrainError(f"the loss is {loss.item()} at step {step}: lower --learning-rate")
        penalised = len(rates) > 0 and not self.net.analog
        penalty = F.relu(rates - self.config.rate_target).mean() if penalised else rates.new_zeros(())
        decided, known = outputs.detach().mean(0)[:, : self.classes].argmax(1), labels >= 0
        figures = {
            "loss": loss,
            "accuracy": ((decided == labels) & known).sum() / known.sum().clamp(min=1),
            "density": hidden_density(rates.detach(), self.net),
        }
        return loss + self.config.rate_weight * penalty, figures

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of outputs float32 [T, B, K] for labels int64 [B]; a negative label is of no class.

        With y the mean output over the T steps, and q the target::

            mse            mean((y − q)²), the paper's
            cross-entropy  mean(−w · Σ q · log softmax(y + s)), with weights w and shifts s by `balance`
            bce            mean(−q · log p − (1 − q) · log(1 − p))
        """
        mean, (weights, shift) = outputs.mean(0)[:, : self.classes], self._balance(labels)
        targets = _targets(labels, mean.shape[1])
        if self.config.loss == "mse":
            return F.mse_loss(mean, targets)
        if self.config.loss == "bce":
            return self._binary_cross_entropy(mean, targets)
        losses = F.cross_entropy(mean + shift, targets, reduction="none")
        return (losses * weights).mean()

    def _balance(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weight of each clip, float32 [B], and what is added to its outputs, float32 [B, K] or [1].

        With `balance` "logits" that is the logarithm of each class's share (Menon et al. 2021, "Long-tail learning
        via logit adjustment"), so that the network learns outputs as if shares were equal; nothing for clips of no
        class.
        """
        known = labels >= 0
        weights, shift = known.new_ones(len(known)).float(), known.new_zeros(1).float()
        if self.class_weights is not None and self.config.balance == "logits":
            shift = torch.where(known.unsqueeze(1), -self.class_weights.log(), 0.0)
        elif self.class_weights is not None:
            weights = self.class_weights[labels.clamp(min=0)]
        return torch.where(known, weights, self.config.unknown_weight), shift

    def _binary_cross_entropy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return it; a spiking read-out's rates are probabilities, all other outputs logits; both [B, K]."""
        if not isinstance(self.net, SpikingNetwork) or self.config.readout != "spikes":
            return F.binary_cross_entropy_with_logits(outputs, targets)
        # By hand, since autocast refuses binary_cross_entropy. From 0.01 to 0.99, for a gradient of silent outputs.
        p = 0.01 + 0.98 * outputs
        return -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()

    @torch.no_grad()
    def _burn_in(self, frames: Tensor, random: torch.Generator) -> State:
        """Return the state after 0 to `burn_in` frames of other clips, as in a live stream; zero for some clips."""
        state = self.net.initial_state(len(frames))
        most = min(self.config.burn_in // frames.shape[1], len(frames) - 1)  # clips other than this one
        clips = int(torch.randint(most + 1, (), generator=random))
        if clips == 0:
            return state
        with eval_mode(self.net):
            for k in range(clips, 0, -1):
                _, state = self.net(frames.roll(k, 0).transpose(0, 1), state)
        return only(state, torch.rand(len(frames), generator=random) >= self.config.zero_share)

    def _run_stretches(
        self, frames: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run stretches of streams, uint8 [B, T, C, H, W] with labels int64 [B, T], as a live stream runs.

        The first `burn_in` frames are the past: they have no gradient, and for some stretches they leave no state. A
        labelled frame behind them is scored if a decision falls there. Returns the evidence of the scored frames,
        float32 [1, N, K] (see `Decider.evidence`), their labels int64 [N], and the rates of the hidden layers.
        """
        window, past = self.net.card.input.window, self.config.burn_in
        state = self.net.initial_state(len(frames))
        carried = torch.rand(len(frames), generator=random) >= self.config.zero_share
        outputs, rates = [], []
        for first in range(0, frames.shape[1], window):
            some = frames[:, first : first + window].transpose(0, 1)
            if first < past:
                with torch.no_grad(), eval_mode(self.net):
                    output, state = self.net(some, state)
                state = only(state, carried) if first + window == past else state
            else:
                output, state, rate = self.net.forward_rates(some, state)
                rates.append(rate)
            outputs.append(output)
        evidence = torch.cat(outputs).float().unfold(0, window, 1) @ torch.from_numpy(leaky_weights(LEAK, window))
        number = torch.arange(len(labels[0]), device=labels.device).unsqueeze(1)  # [T, 1]
        scored = (number >= past + (window - 1) * ~carried) & (labels.T != IGNORED)
        scored = scored[window - 1 :]
        return evidence[scored].unsqueeze(0), labels.T[window - 1 :][scored], torch.stack(rates).mean(0)

    def _run_members(self, spikes: Tensor, labels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Run each member of the read-out on stretches of pooled spike counts, uint8 [B, T, P, 1, 1].

        As in `_run_stretches`, the first `burn_in` frames are the past, and every labelled frame behind them is
        scored; without a past, from the frame `SETTLED` on. Counts are thinned and cells left out at random, since
        real people make more or fewer spikes than simulated ones. Returns the outputs of the scored frames, each
        member's a row of its own, float32 [1, N·M, K], their labels int64 [N·M], and zeros for the rates.
        """
        assert isinstance(self.net, STSResNet)
        past, side = self.config.burn_in, self.net.card.network.final_pool
        carried = torch.rand(len(spikes), generator=random) >= self.config.zero_share
        counts = spikes.flatten(2).transpose(0, 1).float()
        kept = 1 - THINNED * torch.rand(1, len(spikes), 1, device=counts.device)
        # Rounded up with the probability of the fraction.
        counts = (counts * kept + torch.rand_like(counts)).floor()
        pooled = F.dropout(torch.ones_like(counts[:1]), LEFT_OUT) * counts / side**2
        outputs, kinds = [], []
        for chosen, first in ((carried, 0), (~carried, past)):
            if not chosen.any():
                continue
            found = self.net.member_outputs(pooled[first:, chosen])[past - first :]
            wanted = labels.T[past:, chosen]
            scored = wanted != IGNORED
            scored[: 0 if first == 0 else SETTLED] = False
            outputs.append(found[scored].transpose(0, 1).flatten(0, 1))
            kinds.append(wanted[scored].repeat(found.shape[2]))
        rates = counts.new_zeros(len(self.net.state_shapes()) - 1)
        return torch.cat(outputs).unsqueeze(0), torch.cat(kinds), rates

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log the accuracy with the state reset for each clip, and with it carried through all clips as one stream.

        In float32, as the exported model runs: bf16 flips spikes, and changed 0, 1 and 3 of 100 decisions of the
        three trainings in models/results/nmnist.json.
        """
        with torch.autocast(self.device.type, enabled=False):
            self._validate(batch.frames, batch.labels)

    def _validate(self, frames: Tensor, labels: Tensor) -> None:
        reset, carried, densities = [], [], []
        state = self.net.initial_state(1)
        for some in frames.split(AT_ONCE):
            zero = self.net.initial_state(len(some))
            outputs, _, rates = self.net.forward_rates(some.transpose(0, 1), zero)
            reset.append(outputs.mean(0)[:, : self.classes])
            if state:
                stream, state, _ = self.net.forward_rates(some.flatten(0, 1).unsqueeze(1), state)
                carried.append(stream.squeeze(1).unflatten(0, some.shape[:2]).mean(1)[:, : self.classes])
            else:  # a baseline carries nothing
                carried.append(reset[-1])
            densities.append(hidden_density(rates, self.net) * len(some) / len(frames))
        reset_accuracy = (torch.cat(reset).argmax(1) == labels).float().mean()
        carried_accuracy = (torch.cat(carried).argmax(1) == labels).float().mean()
        streams = self.config.burn_in > 0  # otherwise nothing teaches it to carry its state: only clips count
        val_loss = F.cross_entropy(torch.cat(carried if streams else reset), labels)
        accuracy = (reset_accuracy + carried_accuracy) / 2 if streams else reset_accuracy
        values = {
            "val_accuracy_reset": reset_accuracy,
            "val_accuracy_carried": carried_accuracy,
            "val_loss": val_loss,
            "val_density": torch.stack(densities).sum(),
            "analog": float(self.net.analog),
            # Chooses the best epoch, never an analog one. A thousandth of the loss tells apart epochs of the same
            # accuracy; with 500 clips or more it can outweigh one clip.
            "score": accuracy - 1e-3 * val_loss - float(self.net.analog),
        }
        if not state:
            del values["val_accuracy_carried"], values["val_density"]
        self.log_dict(values, batch_size=len(frames), prog_bar=True, rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        """Return Adam or SGD, or AdamW with warm-up and cosine, stepped with every batch."""
        parameters = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        if self.config.optimizer == "adam":
            return torch.optim.Adam(parameters, self.config.learning_rate)
        if self.config.optimizer == "sgd":
            return torch.optim.SGD(parameters, self.config.learning_rate, momentum=0.9)
        optimizer = torch.optim.AdamW(parameters, self.config.learning_rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(warm_up_and_cosine, self.total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warm_up_and_cosine(total_steps: int, step: int) -> float:
    """Return the share of the peak learning rate at ``step``: up in 5 % of the steps, then half a cosine to zero."""
    rising = max(1, round(0.05 * total_steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + cos(pi * (step - rising) / max(1, total_steps - rising)))


def class_weights(parts: Parts, mirror: float = 0.0, mirrored: Sequence[int] | None = None) -> Tensor:
    """Return float32 [K], inverse to the number of clips of each class in an epoch; all 1 if these are equal.

    A share ``mirror`` of the clips is mirrored, where each class has the label in ``mirrored``.
    """
    classes = len(parts.training.classes)
    counts = _clips_by_class(parts.training.labels, classes)
    if parts.extra is not None and len(parts.extra):
        counts += _clips_by_class(parts.extra.labels, classes) * parts.extra_per_epoch / len(parts.extra)
    if mirrored is not None:
        counts = (1 - mirror) * counts + mirror * counts[list(mirrored)]
    weights = counts.sum() / (np.maximum(counts, 1e-9) * classes)
    return torch.from_numpy(weights.astype(np.float32))


def _clips_by_class(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    return np.bincount(labels[labels >= 0], minlength=classes).astype(np.float64)


def _targets(labels: Tensor, classes: int) -> Tensor:
    """Return float32 [B, K]: one-hot; all equal for a negative label, so that the network learns to doubt.

    Source: outlier exposure (Hendrycks et al. 2019, "Deep Anomaly Detection with Outlier Exposure").
    """
    known = (labels >= 0).unsqueeze(1)
    return torch.where(known, F.one_hot(labels.clamp(min=0), classes).float(), 1 / classes)


def hidden_density(rates: Tensor, net: Network) -> Tensor:
    """Return spikes per neuron and step over all hidden neurons, from the rates of the hidden layers [layers − 1]."""
    sizes = [torch.Size(shape).numel() for shape in net.state_shapes().values()][:-1]
    weights = torch.tensor(sizes, dtype=torch.float32, device=rates.device)
    return (rates * weights).sum() / weights.sum().clamp(min=1)
