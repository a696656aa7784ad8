"""Networks: what the engine must know of one, those that have a name, files of others, and what is made of them."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.models.catalogue.card import all_cards, card_of, shown, verify_installed
    from vsr.models.catalogue.choice import DEFAULT_TIER, Choice, choose, choose_chain
    from vsr.models.catalogue.loading import BASELINES, load
    from vsr.models.catalogue.model_facts import (
        Group,
        ModelFacts,
        all_models,
        find_model,
        names,
        not_installed,
        tiers,
        to_fetch,
    )
    from vsr.models.catalogue.pull import pull, source_of
    from vsr.models.chain import Chain, Verdict, damage_to_tell, make_chain, refuse_unserved, variant_of
    from vsr.models.files.any_file import SUFFIXES
    from vsr.models.files.checkpoint import read_model, read_tensors, save_network
    from vsr.models.layers.bidirectional import in_chunks
    from vsr.models.layers.conv_relu import conv_relu
    from vsr.models.layers.flow import anchors, motion_between, moved
    from vsr.models.layers.int8_conv import in_bytes
    from vsr.models.networks.plain import PlainNet
    from vsr.models.networks.planes import PlanesNet
    from vsr.models.networks.recurrent import RecurrentNet
    from vsr.models.networks.unet import UNet
    from vsr.models.spec import (
        NOISE_SPAN,
        PACKED,
        TOLD,
        Context,
        Damage,
        Model,
        ModelSpec,
        Network,
        State,
        with_damage,
    )
    from vsr.models.variants.int8 import calibrate_int8, has_int8, in_int8
    from vsr.models.variants.int8_measured import can_be_measured, measured
    from vsr.models.variants.over_time import NEIGHBOURED, remembered, sees_neighbours
    from vsr.models.variants.self_ensemble import POSES, Pose, self_ensemble

__getattr__ = lazy_exports(__name__)
