"""Search settings of configs/aoi_best.yaml offline; needs `pip install -e ".[search]"`.

python configs/sweeps/optuna_aoi.py --data.data_dir path/to/images   # and other options of fit

Each trial is a run in runs/aoi_best/; given again, the command adds trials to the same study.
"""

import sys
from pathlib import Path

import optuna

from cli import main

TRIALS = 20
FIT = ["fit", "--config=configs/aoi_best.yaml", "--data.folds=5", "--data.fold=0"]


def objective(trial: optuna.Trial) -> float:
    """Validation loss of one training; test images choose nothing."""
    lr = trial.suggest_float("model.optimizer.lr", 1e-4, 3e-3, log=True)
    smoothing = trial.suggest_categorical("model.loss.label_smoothing", [0.0, 0.05, 0.1])
    options = [f"--model.optimizer.lr={lr}", f"--model.loss.label_smoothing={smoothing}"]
    done = main([*FIT, *options, *sys.argv[1:]])
    return float(done.trainer.callback_metrics["val/loss"])  # of the last epoch


if __name__ == "__main__":
    Path("runs").mkdir(exist_ok=True)
    storage = "sqlite:///runs/optuna.db"
    study = optuna.create_study(study_name="aoi_best", storage=storage, load_if_exists=True)
    study.optimize(objective, n_trials=TRIALS)
    print(study.best_value, study.best_params)
