"""Adapts a model to a site, of whose pictures nobody says who is in them.

Rounds: the averaged network embeds the site, what is near in the space of the site transform becomes clusters, and one
pass teaches the network to tell them apart. What comes out is the average of the last round; or the model as it was,
with the site transform alone, where tracklets that were left out of all this are told apart no better.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from resight.core.errors import TrainingError
from resight.core.files import write_whole
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.data.crops import Crop, Problem
from resight.losses.proxies import ProxyLoss
from resight.models.devices import channels_last, choose_device
from resight.models.network import Network
from resight.models.saved import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelConfig,
    Origin,
    TrainedNetwork,
    load_model,
    read_card,
    save_model,
    with_origins,
)
from resight.site.files import save_site
from resight.site.rounds import (
    SITE_FILE,
    Outcome,
    Round,
    RoundFacts,
    load_outcome,
    load_round,
    save_outcome,
    save_round,
)
from resight.site.spread import Spread, spread_of
from resight.training.adaptation.beginning import begin_round, proxy_loss, round_batches, why_not
from resight.training.adaptation.begun import check_begun, check_pictures, listing_of, other_pictures
from resight.training.adaptation.pictures import SitePictures
from resight.training.adaptation.settings import Adaptation
from resight.training.batches.augmentation import augment
from resight.training.batches.plan import check_seed, seed_step
from resight.training.execution import mixed_precision
from resight.training.loop import TrainOptions, interruption
from resight.training.objective import Objective
from resight.training.pretrained import load_trainable
from resight.training.run import (
    Metrics,
    Position,
    checkpoint_step,
    claimed_directory,
    library_versions,
    load_checkpoint,
    read_config,
    save_checkpoint,
    write_or_check_config,
)
from resight.training.unfolding import restore_statistics
from resight.training.updates.averaging import WeightAverage
from resight.training.updates.optimizers import make_optimizer, set_rate
from resight.training.updates.steps import Step

OnRound = Callable[[RoundFacts], None]


@dataclass(frozen=True)
class Site:
    """What to adapt to. name: in words, for the card. tracked: whether `track` of the crops is looked at."""

    name: str
    crops: Sequence[Crop]
    rights: str
    tracked: bool = True


@dataclass(frozen=True)
class AdaptResult:
    """outcome: None where it was interrupted; `resume` goes on. pictures: as they were read; None where the adaptation
    was finished before and they were not asked for."""

    run_dir: Path
    outcome: Outcome | None
    pictures: SitePictures | None
    problems: tuple[Problem, ...] = ()


class ProxyObjective(Objective):
    """A network and the loss of its proxies."""

    loss: ProxyLoss
    embeddings: Tensor

    def forward(self, pixels: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """pixels: (n, h, w, 3) uint8; labels: (n,) int64, the proxy of each; the mean loss."""
        embeddings = self.embed(pixels)
        self.embeddings = embeddings.detach()
        with torch.autocast(pixels.device.type, enabled=False):
            out: Tensor = self.loss(embeddings, labels)
        return out


def adapt(
    source: Path,
    site: Site,
    run_dir: Path,
    settings: Adaptation | None = None,
    seed: int = 0,
    options: TrainOptions | None = None,
    progress: Progress = silent,
    on_round: OnRound | None = None,
    with_pictures: bool = False,
) -> AdaptResult:
    """Adapts the model `source` to the site into `run_dir`, which then holds a model, its site transform and the
    outcome.

    source: a run's directory, a bundle's file or a packaged model's name. on_round: told of each round as it begins.
    with_pictures: read them even where the adaptation is finished, for its page. Nobody's pid is looked at.

    Raises WeightsError where the source is no model, or one that cannot be trained on, ConfigError where the directory
    holds something else, or an adaptation of another model, other settings or other pictures, DataError for a site of
    one camera, of too few pictures or tracklets, or of wrong tracks. Ctrl-C saves and returns.
    """
    check_seed(seed)
    settings, options = settings or Adaptation(), options or TrainOptions()

    def read(size: Preprocessing) -> SitePictures:
        return SitePictures.of(
            site.crops,
            site.name,
            size.height,
            size.width,
            tracked=site.tracked,
            held_out=settings.held_out,
            seed=seed,
            strict=options.strict,
            max_memory_mb=options.max_memory_mb,
            progress=progress,
            resize=size.resize,
        )

    with claimed_directory(run_dir, options.resume):
        check_begun(run_dir, source, settings, seed, site.tracked, options)
        check_pictures(run_dir, site.name, site.crops, site.tracked)
        done = load_outcome(run_dir)
        if done is not None and not with_pictures:
            return AdaptResult(run_dir, done, None)
        if done is not None:
            pictures = read(read_card(run_dir).preprocessing)
            if pictures.images.digest != read_config(run_dir)["data_digest"]:
                raise other_pictures(run_dir, site.name, len(site.crops))
            return AdaptResult(run_dir, done, pictures, pictures.problems)
        trained, folded = load_trainable(source)
        pictures = read(trained.config.preprocessing)
        if folded:
            restore_statistics(trained, pictures.images.sample())
        outcome = _Adapting(trained, source, site, pictures, run_dir, settings, seed, options, progress, on_round).run()
        return AdaptResult(run_dir, outcome, pictures, pictures.problems)


class _Adapting:
    """What the rounds share."""

    def __init__(
        self,
        trained: TrainedNetwork,
        source: Path,
        site: Site,
        pictures: SitePictures,
        run_dir: Path,
        settings: Adaptation,
        seed: int,
        options: TrainOptions,
        progress: Progress,
        on_round: OnRound | None,
    ) -> None:
        self.config, self.source, self.site, self.pictures = trained.config, source, site, pictures
        self.run_dir, self.settings, self.seed = run_dir, settings, seed
        self.options, self.progress, self.on_round = options, progress, on_round
        self.device = choose_device(options.device)
        self.amp = mixed_precision(self.device, options.amp)
        self.recipe = settings.recipe(self.config.preprocessing.height, self.config.preprocessing.width)
        torch.manual_seed(seed)
        network = channels_last(trained.network, self.device)
        self.objective = ProxyObjective(network, nn.Identity(), self.config.preprocessing).to(self.device)
        self.optimizer = make_optimizer(self.recipe, network)
        self.average = WeightAverage(network, settings.average)
        self.position = Position()

    def run(self) -> Outcome | None:
        """All rounds that are not done yet, and the outcome; None where Ctrl-C was pressed."""
        first, resumed = 1, checkpoint_step(self.run_dir)
        begun = load_round(self.run_dir, 1)
        if begun is None:
            begun = self._begin(1)  # refuses what cannot be used, before anything is written
        self._write_config()
        start, ended = 0, self._steps(begun)
        while resumed > ended:
            first += 1
            start, ended = ended, ended + self._steps(self._kept(first))
        metrics = Metrics(self.run_dir, resumed)
        rounds = [self._kept(number).facts for number in range(1, first)]
        try:
            for number in range(first, self.settings.rounds + 1):
                found = begun if number == 1 else load_round(self.run_dir, number) or self._begin(number)
                save_round(self.run_dir, found)
                rounds.append(found.facts)
                if self.on_round is not None:
                    self.on_round(found.facts)
                reason = why_not(found)
                if reason is not None:
                    return self._keep_transform(reason, rounds, None)
                self.objective.loss = proxy_loss(found, self.pictures, self.settings).to(self.device)
                if number == first and resumed:
                    self.position = load_checkpoint(self.run_dir, self._trained(), self.optimizer)
                if not self._learn(found, start, metrics):
                    return None
                start = self.position.step
        finally:
            metrics.close()
        return self._conclude(rounds)

    def _begin(self, number: int) -> Round:
        return begin_round(
            number,
            self.pictures,
            cast(Network, self.average.network),
            self.config,
            self.settings,
            str(self.device),
            self.progress,
        )

    def _kept(self, number: int) -> Round:
        found = load_round(self.run_dir, number)
        if found is None:
            raise TrainingError(f"{self.run_dir} lacks round {number}; begin the adaptation anew in another folder")
        return found

    def _steps(self, found: Round) -> int:
        return 0 if why_not(found) else len(round_batches(found, self.pictures, self.settings, self.seed))

    def _trained(self) -> dict[str, nn.Module]:
        trained: dict[str, nn.Module] = {"network": self.objective.network, "memory": self.objective.loss}
        return {**trained, "average": self.average.network} if self.settings.average else trained

    def _learn(self, found: Round, start: int, metrics: Metrics) -> bool:
        """The steps of a round that are left; whether none is. start: the steps of all rounds before."""
        batches = round_batches(found, self.pictures, self.settings, self.seed)
        loss, number, rounds = self.objective.loss, found.facts.number, self.settings.rounds
        step = Step(self.objective, self.optimizer, self.device, self.amp)
        _train_mode(self.objective.network, self.settings.frozen_norm)
        saved_at, done = time.monotonic(), self.position.step - start
        what = f"round {number} of {rounds}: learning {found.facts.clusters:,} clusters"
        with interruption() as interrupted, self.progress(what, len(batches), done) as advance:
            for place, pixels in zip(batches[done:], self.pictures.batches(batches[done:]), strict=True):
                turn = (self.position.step - start) / len(batches)
                rate = self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (number - 1 + turn) / rounds))
                set_rate(self.optimizer, rate * (turn + 1 / len(batches) if number == 1 else 1.0))
                batch = torch.from_numpy(pixels).to(self.device)
                batch = augment(batch, self.recipe, seed_step(self.seed, self.position.step, 0))
                proxies = torch.from_numpy(found.proxies[place]).to(self.device)
                value = step.loss(batch, [proxies])
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the loss is {value} at step {self.position.step}; take a lower learning rate "
                        f"(learning_rate). The last checkpoint is from before this step."
                    )
                step.update()
                loss.update(self.objective.embeddings, proxies)
                self.average.update(self.position.step + round(10 / max(1e-6, 1 - self.settings.average)))
                self.position = Position(self.position.step + 1, self.position.loss_sum + value)
                advance(1, f"loss {value:.3f}")
                ended = self.position.step - start == len(batches)
                if interrupted.is_set() and not ended:
                    save_checkpoint(self.run_dir, self._trained(), self.optimizer, self.position)
                    return False
                if not ended and time.monotonic() - saved_at >= self.options.checkpoint_every_s:
                    save_checkpoint(self.run_dir, self._trained(), self.optimizer, self.position)
                    saved_at = time.monotonic()
                if ended:
                    facts = {name: getattr(found.facts, name) for name in ("criterion", "eps", "clusters", "across")}
                    told = {name: float(value) for name, value in facts.items() if value is not None}
                    values = {"epoch": number, "loss": self.position.loss_sum / len(batches), **told}
                    metrics.end_epoch(self.position.step, self.recipe.batch_size, values)
        self.position = Position(self.position.step)
        save_checkpoint(self.run_dir, self._trained(), self.optimizer, self.position)
        return not interrupted.is_set()

    def _conclude(self, rounds: list[RoundFacts]) -> Outcome:
        """The last round's average, or the transform alone where the criterion says no."""
        before = rounds[0].criterion
        told = TrainedNetwork(self.average.network.eval(), self.config)
        embeddings = self.pictures.embed(told, str(self.device), self.progress)
        judges = self.pictures.judges(embeddings)
        fitted = None if judges is None else self.pictures.fit(embeddings, "")
        after = None if judges is None or fitted is None else judges.eer(fitted)
        at_first, spread = self._kept(1).judges, None
        if judges is not None and fitted is not None and at_first is not None:
            spread = spread_of(at_first, judges.at(fitted), judges.camera_codes, judges.tracklets)
        if after is not None and before is not None and after >= before:
            reason = f"tracklets that were left out are told apart no better: EER {after:.4f}, before {before:.4f}"
            return self._keep_transform(reason, rounds, after, spread)
        save_model(self.run_dir, self.average.network, self._card())
        identity = load_model(self.run_dir).config.identity
        site = self.pictures.fit(embeddings, identity, judging=True)
        save_site(site, self.run_dir / SITE_FILE)
        reason = "no tracklets tell whether it helped"
        if after is not None and before is not None:
            reason = f"tracklets that were left out are told apart better: EER {after:.4f}, before {before:.4f}"
        return self._end(True, reason, rounds, after, site.facts.warnings, spread)

    def _keep_transform(
        self, reason: str, rounds: list[RoundFacts], after: float | None, spread: Spread | None = None
    ) -> Outcome:
        """The source as it is, and its site transform."""
        trained, folded = load_trainable(self.source)
        if folded:
            save_model(self.run_dir, trained.network, trained.config)
        else:
            for name in (WEIGHTS_FILE, CARD_FILE):
                write_whole(self.run_dir / name, (self.source / name).read_bytes())
        trained = load_model(self.run_dir)
        embeddings = self.pictures.embed(trained, str(self.device), self.progress)
        site = self.pictures.fit(embeddings, trained.config.identity, judging=True)
        save_site(site, self.run_dir / SITE_FILE)
        return self._end(False, reason, rounds, after, site.facts.warnings, spread)

    def _end(
        self,
        adapted: bool,
        reason: str,
        rounds: list[RoundFacts],
        after: float | None,
        warnings: tuple[str, ...],
        spread: Spread | None,
    ) -> Outcome:
        judging = int(self.pictures.judging.sum())
        outcome = Outcome(
            adapted,
            reason,
            self.site.name,
            str(self.source.resolve().name),
            len(self.pictures),
            judging,
            self.pictures.copies,
            rounds[0].criterion,
            after,
            tuple(rounds),
            warnings,
            spread,
        )
        save_outcome(self.run_dir, outcome)  # the last of all: it says that the rest is there
        return outcome

    def _card(self) -> ModelConfig:
        """No calibration: similarities mean something else now."""
        learnt = f"adapted to {self.site.name} from {len(self.pictures):,} pictures without labels"
        digest = self.pictures.images.digest
        own = ModelConfig(self.config.architecture, self.config.preprocessing, learnt, self.site.rights, digest)
        origin = Origin(str(self.config.weights_sha256), self.config.trained_on, self.config.rights)
        return with_origins(own, [origin])

    def _write_config(self) -> None:
        fixed = {"adaptation": self.settings.to_dict(), "seed": self.seed, "tracked": self.site.tracked}
        fixed |= {"source": self.config.weights_sha256, "data_digest": self.pictures.images.digest}
        fixed |= {"amp": self.amp, "device": self.device.type}
        described = {
            "data": self.site.name,
            "data_rights": self.site.rights,
            "listing": listing_of(self.site.crops, self.site.tracked),
            "num_images": len(self.pictures),
            "copies": self.pictures.copies,
            "left_out": [f"{problem.name}: {problem.reason}" for problem in self.pictures.problems],
            "threads": torch.get_num_threads(),
            "versions": library_versions(),
        }
        write_or_check_config(self.run_dir, fixed, described)


def _train_mode(network: nn.Module, frozen_norm: bool) -> None:
    network.train()
    if frozen_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
