"""Several hundred bad inputs to ``cli.py``, out of tables; see benchmarks/bad_inputs.py."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import bad_commands
import bad_rare
import bad_surroundings
from bad_files import (
    LAYOUTS,
    RUN_FILES,
    TABLES,
    Spoil,
    checkpoints,
    images,
    layout,
    spoil_image,
    spoiled,
    write_bytes,
)
from bad_options import CONFIGS, EVALUATION, MISSPELLED, SUBCOMMANDS, VALUES


@dataclass(frozen=True)
class Case:
    """One bad command line.

    Args:
        kind: what is bad about it.
        config: whose small options come first; "" gives none.
        args: subcommand and further arguments; ``{here}`` is the case's folder, ``{data}`` a copy
            of the task's data in it, ``{run}`` a copy of a finished run of the config.
        spoil: changes files below ``{here}`` beforehand.
        fine: the input is good after all.
        env: variables of the environment.
        bare: the small options do not come first, for the subcommand has none of them.
        nobody: as a user who owns nothing; needs Linux and root.
    """

    kind: str
    config: str
    args: tuple[str, ...]
    spoil: Spoil | None = field(default=None, compare=False)
    fine: bool = False
    env: tuple[tuple[str, str], ...] = ()
    bare: bool = False
    nobody: bool = False

    @property
    def name(self) -> str:
        """The case in a line."""
        spoiled = "" if self.spoil is None else f" ({self.spoil.__doc__})"
        env = "".join(f"{name}={value} " for name, value in self.env)
        return f"{self.config or '-'}: {env}{' '.join(self.args)}{spoiled}"


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _common()
    yield from _rare()
    yield from _uses()


def _uses() -> Iterator[Case]:
    file = write_bytes("file", b"text")
    for stage, lines in bad_commands.STAGES.items():
        for line in lines:
            yield Case(f"{stage} options", "aoi", (stage, *line.split(" ")), file)
    for line in bad_commands.LINES:
        yield Case(f"{line.split()[0]} options", "", tuple(line.split(" ")), file)
    for line in bad_commands.RUN_LINES:
        args = tuple(line.split(" "))
        yield Case(f"{args[0]} options", "aoi", args, file, bare=True)
    for name, content in bad_commands.RECORDS.items():
        spoil = spoiled(name)(write_bytes("run/run.json", content))
        yield Case("compare options", "aoi", ("compare", "{run}"), spoil, bare=True)
    for config, options in bad_commands.FIT.items():
        for option in options:
            args = (option,) if "[" in option or "{" in option else tuple(option.split(" "))
            yield Case("rare value", config, ("fit", *args), file)
    for name, (fine, change) in bad_surroundings.images().items():
        for config, pattern in (
            ("aoi", "data/train_images/*"),
            ("vessels", "data/training/images/*"),
            ("retina", "data/training/images/*"),
            ("blots", "data/wb_template2/*"),
        ):
            yield Case("rare image", config, ("fit",), spoil_image(pattern, name, change), fine)
    for name, content in bad_surroundings.TABLES.items():
        spoil = spoiled(f"train.csv: {name}")(write_bytes("data/train.csv", content))
        yield Case("rare table", "aoi", ("fit",), spoil)
    for name, env in bad_surroundings.ENVIRONMENTS.items():
        spoil = spoiled(name)(lambda here: None)
        yield Case("environment", "aoi", ("fit",), spoil, True, tuple(env.items()))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for config, closed in bad_surroundings.PERMISSIONS.items():
            for stage, line, spoil in closed:
                yield Case("permissions", config, (stage, *line.split()), spoil, nobody=True)


def _rare() -> Iterator[Case]:
    best = "--ckpt_path={run}/checkpoints/last.ckpt"
    for config, options in bad_rare.VALUES.items():
        for option, values in options.items():
            for value in values:
                given = "" if value == "''" else value
                spoil = write_bytes("file", b"text") if "{here}/file" in value else None
                yield Case("rare value", config, ("fit", f"--{option}={given}"), spoil)
    for name, content in bad_rare.CONFIGS.items():
        spoil = spoiled(name)(write_bytes("c.yaml", content))
        yield Case("rare config", "aoi", ("fit", "--config={here}/c.yaml"), spoil)
    for name, spoil in bad_rare.checkpoints().items():
        for stage in ("fit", "test", "predict"):
            more = ("--trainer.max_epochs=9",) if stage == "fit" else ()
            args = (stage, "--ckpt_path={here}/bad.ckpt", *more)
            config = "vessels" if stage == "test" else "aoi"
            yield Case("rare checkpoint", config, args, spoiled(name)(spoil))
    for name, spoil in bad_rare.resumed_checkpoints().items():
        args = ("fit", "--ckpt_path={here}/bad.ckpt", "--trainer.max_epochs=9")
        yield Case("rare checkpoint", "aoi", args, spoiled(name)(spoil))
    for name, change in bad_rare.images().items():
        for config, pattern in (
            ("aoi", "data/train_images/*"),
            ("vessels", "data/training/1st_manual/*"),
            ("blots", "data/wb_dataset/*"),
        ):
            yield Case("rare image", config, ("fit",), spoil_image(pattern, name, change))
        spoil = spoil_image("data/test_images/*", name, change)
        args = ("predict", best, "--data.predict_dir={data}/test_images")
        yield Case("rare image", "aoi", args, spoil)
    for fine, tables in ((False, bad_rare.TABLES), (True, bad_rare.FINE_TABLES)):
        for name, content in tables.items():
            spoil = spoiled(f"train.csv: {name}")(write_bytes("data/train.csv", content))
            yield Case("rare table", "aoi", ("fit",), spoil, fine)
    for name, env in bad_rare.ENVIRONMENTS.items():
        spoil = spoiled(name)(lambda here: None)
        yield Case("environment", "aoi", ("fit",), spoil, True, tuple(env.items()))
    for name, spoil in bad_rare.PREDICT_DIRS.items():
        for config in ("aoi", "vessels", "retina"):
            source = "x.csv" if name == "a table" else "x"
            args = ("predict", best, f"--data.predict_dir={{here}}/{source}")
            yield Case("predict_dir", config, args, spoiled(name)(spoil))


def _common() -> Iterator[Case]:
    for config, options in VALUES.items():
        for option, values in options.items():
            for value in values:
                given = value.strip("'") if set(value) == {"'"} or value == "' '" else value
                spoil = write_bytes("file", b"text") if "{here}/file" in value else None
                yield Case("option value", config, ("fit", f"--{option}={given}"), spoil)
    for config, options_given in MISSPELLED.items():
        for option in options_given:
            yield Case("misspelled option", config, ("fit", *option.split()))
    for subcommand in SUBCOMMANDS:
        yield Case("subcommand", "", tuple(subcommand.split()))
    yield Case("subcommand", "", ("fit",))
    yield Case("subcommand", "", ("fit", "--model=lit_models.BlotGAN"))
    for stage in ("validate", "test", "predict"):
        yield Case("no checkpoint", "aoi", (stage,))
        for option in EVALUATION:
            if ("predict_dir" in option) == (stage == "predict") or "predict_dir" not in option:
                path = () if "ckpt_path" in option else ("--ckpt_path={run}/checkpoints/last.ckpt",)
                yield Case("option value", "aoi", (stage, *path, option))
    for name, text in CONFIGS.items():
        spoil = spoiled(name)(write_bytes("c.yaml", text.encode()))
        yield Case("config", "aoi", ("fit", "--config={here}/c.yaml"), spoil)
    yield Case(
        "config", "aoi", ("fit", "--config={here}/c.yaml"), write_bytes("c.yaml", b"\xff\xfe\x00d")
    )
    for name, spoil in checkpoints().items():
        spoil = spoiled(name)(spoil)
        for stage in ("fit", "test", "predict"):
            if (stage == "fit") < (name == "no loops"):  # an evaluation needs weights alone
                continue
            config = "vessels" if stage == "test" else "aoi"
            more = ("--trainer.max_epochs=9",) if stage == "fit" else ()
            yield Case("checkpoint", config, (stage, "--ckpt_path={here}/bad.ckpt", *more), spoil)
    yield Case("checkpoint", "retina", ("test", "--ckpt_path={other}/checkpoints/last.ckpt"))
    yield Case("checkpoint", "retina", ("fit", "--ckpt_path={other}/checkpoints/last.ckpt"))
    yield Case("finished run", "aoi", ("fit", "--ckpt_path={run}/checkpoints/last.ckpt"))
    for name, change in images().items():
        for config, pattern in (
            ("aoi", "data/train_images/*"),
            ("vessels", "data/training/images/*"),
            ("retina", "data/training/images/*"),
            ("blots", "data/wb_template/*"),
        ):
            spoil = spoil_image(pattern, name, change)
            more = ("--data.num_workers=2",) if config == "aoi" else ()
            yield Case("image", config, ("fit", *more), spoil)
        if name not in ("gone", "a folder"):
            path = "--ckpt_path={run}/checkpoints/last.ckpt"
            spoil = spoil_image("data/test_images/*", name, change)
            args = ("predict", path, "--data.predict_dir={data}/test_images")
            yield Case("image", "aoi", args, spoil)
    for name, content in TABLES.items():
        spoil = spoiled(f"train.csv: {name}")(write_bytes("data/train.csv", content))
        yield Case("table", "aoi", ("fit",), spoil)
    for config, layouts in LAYOUTS.items():
        for name, change_layout in layouts.items():
            yield Case("layout", config, ("fit",), layout(name, change_layout))
    for relative, content in RUN_FILES.items():
        spoil = write_bytes(relative, content)
        args = ("fit", "--ckpt_path={run}/checkpoints/last.ckpt", "--trainer.max_epochs=3")
        yield Case("run folder", "aoi", args, spoil, fine="metrics" not in relative)
    for args in (("compare",), ("compare", "nowhere"), ("compare", "{here}"), ("compare", "--x")):
        yield Case("compare", "", args)
    yield Case(
        "output", "aoi", ("predict", "--ckpt_path={run}/checkpoints/last.ckpt", "--output={run}")
    )
    yield Case("control", "aoi", ("fit", "--data.augmentation=null"), fine=True)
    yield Case("control", "vessels", ("fit", "--data.inputs.diameter=null"), fine=True)
