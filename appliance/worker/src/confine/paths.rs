//! The wall around paths: the mover's folders are inside, everything else on the file system is not there for it.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Failed;

/// How much of the wall this kernel can build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    /// All that this program knows of.
    Full,
    /// Less: an older kernel.
    Partial,
    /// None: the kernel has no Landlock, or not one that lets files move between folders.
    None,
}

/// The folders that stay in sight.
#[derive(Debug)]
pub struct Paths<'a> {
    /// Source and destination. Files move between them, so both allow the same: a file must not gain anything by moving.
    pub files: Vec<BorrowedFd<'a>>,
    /// The log's folder and the health file's.
    pub own: Vec<BorrowedFd<'a>>,
}

impl Paths<'_> {
    /// Builds the wall around this process.
    pub(super) fn wall_off(&self) -> Result<Walls, Failed> {
        let built = self.build().map_err(|error| Failed::Paths(error.to_string()))?;
        Ok(match built {
            RulesetStatus::FullyEnforced => Walls::Full,
            RulesetStatus::PartiallyEnforced => Walls::Partial,
            RulesetStatus::NotEnforced => Walls::None,
        })
    }

    fn build(&self) -> Result<RulesetStatus, landlock::RulesetError> {
        let inside = AccessFs::ReadFile
            | AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::RemoveFile
            | AccessFs::MakeReg;
        let moving: BitFlags<AccessFs> = inside | AccessFs::Refer;
        // The box's kernel has version 6; what an older one lacks is left out, and what a newer one has is not missed.
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?;
        let mut created = ruleset.create()?;
        for folder in &self.files {
            created = created.add_rule(PathBeneath::new(folder, moving))?;
        }
        for folder in &self.own {
            created = created.add_rule(PathBeneath::new(folder, inside))?;
        }
        Ok(created.restrict_self()?.ruleset)
    }
}
