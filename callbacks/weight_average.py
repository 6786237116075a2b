"""Validates and keeps an average of the weights over the last steps."""

from pytorch_lightning.callbacks import WeightAveraging

from lit_models.moving_average import moving_average


class WeightAverage(WeightAveraging):
    """Lightning's `WeightAveraging` with an exponential moving average.

    It reaches back ``1 / (1 - decay)`` steps, but no more than a ninth of those done, so that short
    trainings do not keep what the weights were at random.
    """

    def __init__(self, decay: float = 0.9995) -> None:
        super().__init__(multi_avg_fn=moving_average(decay))
