"""The collapse watch in a run: what it says, and which checkpoints it keeps from being removed."""

from collections.abc import Mapping
from typing import Any

from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import checkpoint_path, steps_of
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.run.rules import RULES
from vidgan.run.watch import Watch, alarms_in


class Keeper:
    """Watches a level of a run. What was logged before, it has seen: a resumed run goes on with the same eyes."""

    def __init__(self, run: RunDirectory, level: int) -> None:
        self.run, self.level = run, level
        self.watch = Watch(run.experiment.reporting.watch)
        lines = read_lines(run.log.path)
        for line in lines:
            if line["level"] == level:
                self.watch.see(int(line["step"]), line["scalars"])
        self._kept = {int(step) for alarm in alarms_in(lines, level) for step in alarm["keeps"]}

    def see(self, step: int, scalars: Mapping[str, float]) -> list[dict[str, Any]]:
        """The alarms of a tick, for the log: rule, onset, words, and the checkpoints that are kept for it."""
        found = []
        for alarm in self.watch.see(step, scalars):
            keeps = self._from_before(alarm.onset)
            self._kept.update(keeps)
            found.append({**alarm._asdict(), "keeps": sorted(keeps)})
        return found

    def kept(self) -> set[int]:
        """Steps whose checkpoints rotation must not reach: the best, those of alarms, and of what may become one."""
        onset = self.watch.onset()
        best = self.best()
        kept = self._kept if best is None else self._kept | {best}
        return kept if onset is None else kept | self._from_before(onset)

    def best(self, before: int | None = None) -> int | None:
        """Step of the best checkpoint, on the level that is measured; of all or of those ``before`` a step."""
        if self.level < len(self.run.experiment.levels):
            return None
        best = best_of_run(self.run, before)
        return None if best is None else best.step

    def words(self, alarm: Mapping[str, Any]) -> str:
        """An alarm for people: what is seen, what is kept, what to try."""
        names = [checkpoint_path(self.run.checkpoints, self.level, step).name for step in alarm["keeps"]]
        kept = f"kept from before: {', '.join(names)}" if names else "no checkpoint is from before"
        about = next(rule.about for rule in RULES if rule.name == alarm["rule"])
        return f"ALARM: {alarm['text']}; {kept}. To try: {about} (docs/monitoring.md)"

    def _from_before(self, onset: int) -> set[int]:
        """Steps of the newest and of the best checkpoint from before ``onset``: a broken model may be judged better."""
        there = [step for step in steps_of(self.run.checkpoints, self.level) if step < onset]
        best = self.best(onset)
        return set(there[-1:]) | ({best} if best in there else set())
