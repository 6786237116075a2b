"""Compression of fundus photographs: AVIF files, restored by a network."""

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lit_models.image_reconstructor import ImageReconstructor
from lit_models.metrics.image_scores import image_scores
from lit_models.networks.restored_avif import RestoredAVIF
from lit_models.optim.schedules import StepSchedule
from lit_models.postprocessing.avif import AVIFInference
from lit_models.postprocessing.pixels import to_unit


class AVIFRestorer(ImageReconstructor):
    """An `ImageReconstructor` whose copies pass through AVIF files.

    ``<stage>/bits_per_pixel`` is of these files.

    Args:
        network: makes the files and restores them.
        loss: of copies and images.
        optimizer: of all parameters.
        lr_scheduler: null leaves the learning rate as it is.
        inference: what may also be set after training.
    """

    means = ("loss", "psnr", "ssim", "bits_per_pixel")

    def __init__(
        self,
        network: RestoredAVIF,
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: StepSchedule | LRSchedulerCallable | None = None,
        inference: AVIFInference = AVIFInference(),
    ) -> None:
        super().__init__(network, loss, optimizer, lr_scheduler)
        network.quality = inference.quality
        self.network: RestoredAVIF

    def score(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        copy, (file,) = self.network.reconstruct(image)
        rate = copy.new_tensor(8 * len(file) / image[0, 0].numel())
        scores = {"loss": self.loss(copy, image), "bits_per_pixel": rate}
        return copy, scores | image_scores(to_unit(copy), to_unit(image))
