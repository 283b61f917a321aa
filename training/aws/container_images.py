"""Addresses of the container images that SageMaker's jobs and endpoints run, without the SageMaker SDK.

AWS keeps its images in accounts that differ by region. The table is that of `sagemaker.core.image_uris` (sagemaker
3.27.0); a test compares it with the installed SDK. The isolated regions (us-iso...) are left out.
"""

from __future__ import annotations

from typing import Literal, get_args

from training.errors import TrainingError

# The last with an inference image: docs/guides/sagemaker.md says what to do about patches
PYTORCH_VERSION = "2.6.0"
PYTHON_VERSION = "py312"
BUILT_IN_VERSION = "1"

Image = Literal["image-classification", "pytorch-training", "pytorch-inference"]

# region, account of the built-in algorithms, account of the deep learning containers
_TABLE = """
af-south-1 455444449433 626614931356
ap-east-1 286214385809 871362719292
ap-east-2 - 975050140332
ap-northeast-1 501404015308 763104351884
ap-northeast-2 306986355934 763104351884
ap-northeast-3 867004704886 364406365360
ap-south-1 991648021394 763104351884
ap-south-2 628508329040 772153158452
ap-southeast-1 475088953585 763104351884
ap-southeast-2 544295431143 763104351884
ap-southeast-3 951798379941 907027046896
ap-southeast-4 106583098589 457447274322
ap-southeast-5 - 550225433462
ap-southeast-6 - 633930458069
ap-southeast-7 - 590183813437
ca-central-1 469771592824 763104351884
ca-west-1 190319476487 204538143572
cn-north-1 390948362332 727897471807
cn-northwest-1 387376663083 727897471807
eu-central-1 813361260812 763104351884
eu-central-2 680994064768 380420809688
eu-north-1 669576153137 763104351884
eu-south-1 257386234256 692866216735
eu-south-2 104374241257 503227376785
eu-west-1 685385470294 763104351884
eu-west-2 644912444149 763104351884
eu-west-3 749696950732 763104351884
il-central-1 898809789911 780543022126
me-central-1 272398656194 914824155844
me-south-1 249704162688 217643126080
mx-central-1 - 637423239942
sa-east-1 855470959533 763104351884
us-east-1 811284229777 763104351884
us-east-2 825641698319 763104351884
us-gov-east-1 237065988967 446045086412
us-gov-west-1 226302683700 442386744353
us-west-1 632365934929 763104351884
us-west-2 433757028032 763104351884
"""

_ACCOUNTS = {region: accounts for region, *accounts in map(str.split, _TABLE.strip().splitlines())}
REGIONS = tuple(_ACCOUNTS)


def image_uri(image: Image, region: str, instance_type: str = "ml.m5.xlarge") -> str:
    """The address of an image in ECR, for the kind of processor that the instance type has.

    Raises
    ------
    TrainingError
        There is no image of that name, or the region has none, as far as this table knows.
    """
    if image not in get_args(Image):
        raise TrainingError(
            f"{image!r} is none of the known images ({', '.join(get_args(Image))}): use one, or give a full address"
        )
    built_in, deep_learning = _ACCOUNTS.get(region, ("-", "-"))
    account = built_in if image == "image-classification" else deep_learning
    if account == "-":
        raise TrainingError(
            f"AWS has no {image} image in region {region!r} that this version knows; choose another region"
        )
    tag = BUILT_IN_VERSION
    if image != "image-classification":
        tag = f"{PYTORCH_VERSION}-{'gpu' if has_gpu(instance_type) else 'cpu'}-{PYTHON_VERSION}"
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{domain}/{image}:{tag}"


def has_gpu(instance_type: str) -> bool:
    """Whether a SageMaker instance type has NVIDIA GPUs: the g and p families."""
    return instance_type.startswith(("ml.g", "ml.p"))
