//! Groups: states that begin with the same first step. The one light of a box without others shows the group.

use crate::Severity;
use crate::rhythm::{Count, Rhythm};

/// A group of states whose remedy begins with the same step.
///
/// Seven things to count is what a light alone can tell; there are more states than that. So the rule is: two states
/// may share a look on the one light only where a person would begin with the same step, and are in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The box does what it should.
    Well,
    /// The box is on its way and needs no one.
    Coming,
    /// The box must not lose its power now.
    LeaveOn,
    /// The box shows which one it is.
    Shown,
    /// Nothing drives the light.
    Unlit,
    /// The file on the card.
    Settings,
    /// Cable, router, the network in the house.
    Cable,
    /// The way from the house to the region.
    Way,
    /// The activation and the identity that comes from it.
    Activation,
    /// What the team in the region looks after.
    Region,
    /// Files and the card that they are on.
    Files,
    /// The box's own programs.
    Programs,
    /// The card does not start.
    Start,
}

impl Group {
    /// Every group.
    pub const ALL: &[Self] = &[
        Self::Well,
        Self::Coming,
        Self::LeaveOn,
        Self::Shown,
        Self::Unlit,
        Self::Settings,
        Self::Cable,
        Self::Way,
        Self::Activation,
        Self::Region,
        Self::Files,
        Self::Programs,
        Self::Start,
    ];

    /// What to do first, in all states of the group.
    pub const fn first_step(self) -> &'static str {
        match self {
            Self::Well => "There is nothing to do.",
            Self::Coming => "Wait up to five minutes.",
            Self::LeaveOn => "Leave the power on and wait until the light changes.",
            Self::Shown => "There is nothing to do: this is the box that was looked for.",
            Self::Unlit => "Wait one minute. If the light stays dark, take the power away.",
            Self::Settings => {
                "Switch the box off, put its card into a PC and open stayput.toml on the drive STAYPUT."
            }
            Self::Cable => {
                "Check that the network cable is pushed in at both ends and that the router is on."
            }
            Self::Way => "Ask whoever runs the local network whether the box may reach the region.",
            Self::Activation => "Ask the team in the region for a new activation.",
            Self::Region => "Ask the team in the region to look at this box's cluster, queue and orders.",
            Self::Files => "Collect the finished files from the box.",
            Self::Programs => "Switch the box off, wait ten seconds and switch it on again.",
            Self::Start => "Take the power away, take the card out, push it in fully and switch on again.",
        }
    }

    /// What the group is about, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Well => "all is well",
            Self::Coming => "on its way",
            Self::LeaveOn => "leave the power on",
            Self::Shown => "here I am",
            Self::Unlit => "no light",
            Self::Settings => "settings on the card",
            Self::Cable => "cable and router",
            Self::Way => "way to the region",
            Self::Activation => "activation",
            Self::Region => "the region's side",
            Self::Files => "card and files",
            Self::Programs => "the box's programs",
            Self::Start => "the card does not start",
        }
    }

    /// The number that is counted, for the groups of faults and warnings.
    pub const fn number(self) -> Option<u8> {
        match self {
            Self::Settings => Some(1),
            Self::Cable => Some(2),
            Self::Way => Some(3),
            Self::Activation => Some(4),
            Self::Region => Some(5),
            Self::Files => Some(6),
            Self::Programs => Some(7),
            Self::Start | Self::Well | Self::Coming | Self::LeaveOn | Self::Shown | Self::Unlit => None,
        }
    }

    /// What counts for a fault (`short` blinks of the number) or a warning (one long blink before them). A card that
    /// does not start counts two long ones: only the boot programs say it, and it must not be mistaken.
    pub(crate) const fn count(self, severity: Severity) -> Count {
        match (self.number(), severity) {
            (Some(number), Severity::Warning) => Count::of(1, number),
            (Some(number), _) => Count::of(0, number),
            (None, _) => Count::of(2, 0),
        }
    }

    /// The same as what the one light does.
    pub(crate) const fn alone(self, severity: Severity) -> Rhythm {
        Rhythm::Counted(self.count(severity))
    }

    /// Which of two groups of one severity is told first: causes before what follows from them, files before all.
    pub(crate) const fn urgency(self) -> u8 {
        match self {
            Self::Start => 9,
            Self::Files => 8,
            Self::Programs => 7,
            Self::Settings => 6,
            Self::Cable => 5,
            Self::Way => 4,
            Self::Activation => 3,
            Self::Region => 2,
            Self::Unlit | Self::LeaveOn | Self::Shown | Self::Coming | Self::Well => 0,
        }
    }
}
