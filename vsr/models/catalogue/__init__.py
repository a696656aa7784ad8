"""Every model that has a name: built in, published, described."""

# pyright: reportUnusedImport=false
from typing import TYPE_CHECKING

from vsr.lazy import lazy_exports

if TYPE_CHECKING:
    from vsr.models.catalogue.card import all_cards, card_of, card_text, shown, verify_installed
    from vsr.models.catalogue.choice import (
        Choice,
        choose,
        choose_chain,
        default_tiers,
        with_painting,
        with_twins,
    )
    from vsr.models.catalogue.loading import BASELINES, load
    from vsr.models.catalogue.model_facts import ModelFacts, all_models, find_model, licences_of, names, tiers

__getattr__ = lazy_exports(__name__)
