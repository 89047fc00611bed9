"""Names of rooms that are easily said and typed: blue-otter. They are no secrets; the key in the link is."""

from __future__ import annotations

from typing import Final

from icelane.core.entropy import Entropy

_COLOURS: Final = """
amber aqua azure beige black blue bronze brown coral cream crimson cyan emerald golden green grey indigo ivory
jade lavender lilac lime magenta maroon mint navy olive orange pink plum purple red ruby silver teal violet
white yellow
"""
_ANIMALS: Final = """
badger bear beaver bison camel cat cheetah crane crow deer dolphin donkey dove duck eagle elk falcon ferret
finch fox frog gecko goat goose gull hare hawk hedgehog heron horse ibex koala lark lemur lion lizard llama
lynx magpie marten mole moose mouse newt otter owl panda parrot pelican penguin pony puffin quail rabbit raven
robin salmon seal sheep sparrow squirrel stork swan swift tiger toad trout turtle whale wolf wren yak zebra
"""
COLOURS: Final = tuple(_COLOURS.split())
ANIMALS: Final = tuple(_ANIMALS.split())


def room_name(entropy: Entropy) -> str:
    """A colour and an animal."""
    return f"{COLOURS[entropy.below(len(COLOURS))]}-{ANIMALS[entropy.below(len(ANIMALS))]}"
