"""Mergeable summaries of a model's traffic.

A *sketch* summarises one stream of values, a `FeatureProfile` all that was seen of one feature, a `Profile` one window
of one model. Everything here is pure: no clock, no files, no network.
"""

from modelward_agent.profile.categorical import CategoricalSketch
from modelward_agent.profile.comoments import CoMoments
from modelward_agent.profile.dependence import Dependence
from modelward_agent.profile.feature import FeatureProfile
from modelward_agent.profile.numeric import Moments, NumericSketch
from modelward_agent.profile.profile import OTHER_SEGMENT, OUTPUTS, Profile, ProfileKey, Segment, merged
from modelward_agent.profile.text import TextSketch
from modelward_agent.profile.vector import VectorSketch
from modelward_agent.profile.wire import ProfileFormatError, from_bytes, to_bytes

__all__ = [
    "OTHER_SEGMENT",
    "OUTPUTS",
    "CategoricalSketch",
    "CoMoments",
    "Dependence",
    "FeatureProfile",
    "Moments",
    "NumericSketch",
    "Profile",
    "ProfileFormatError",
    "ProfileKey",
    "Segment",
    "TextSketch",
    "VectorSketch",
    "from_bytes",
    "merged",
    "to_bytes",
]
