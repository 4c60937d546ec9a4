//! What a mover gives up before it looks at the first name: network, rights, programs, most system calls, most paths.
//!
//! The order is fixed by what each step needs: the network's name space needs a right, the system-call filter comes last
//! because the other steps make calls that it forbids. What could not be had is in [`Confinement`], and in the status.

pub mod attempts;
mod filter;
mod paths;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

pub use paths::{Paths, Walls};

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// The network that is left.
    pub network: Network,
    /// Whether paths are walled off.
    pub walls: Walls,
}

/// The network that a confined process could see, if it could make a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// An empty name space.
    Empty,
    /// The one it was started in; only the system-call filter stands between.
    Shared,
}

/// Why a process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A step of the kernel's own.
    #[error("could not {step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: Errno,
    },
    /// The wall around paths.
    #[error("could not wall off paths: {0}")]
    Paths(String),
    /// The system-call filter.
    #[error("could not set the system-call filter: {0}")]
    Filter(String),
}

fn failed(step: &'static str) -> impl FnOnce(Errno) -> Failed {
    move |source| Failed::Step { step, source }
}

/// Confines this process, which must have one thread only, for good.
pub fn confine(paths: &Paths<'_>) -> Result<Confinement, Failed> {
    let network = leave_network();
    limit().map_err(failed("set limits"))?;
    drop_rights().map_err(failed("give up rights"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("refuse new rights"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("refuse to be looked into"))?;
    let walls = paths.wall_off()?;
    filter::apply()?;
    Ok(Confinement { network, walls })
}

/// What a courier gives up: new rights, and being looked into by others.
pub fn close_up() -> Result<(), Failed> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(failed("set limits"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("refuse new rights"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("refuse to be looked into"))
}

/// Moves into an empty network, where that is allowed.
fn leave_network() -> Network {
    if is_alone() || (crate::system::leave_network().is_ok() && is_alone()) {
        Network::Empty
    } else {
        Network::Shared
    }
}

/// Whether the only interface is the loopback.
fn is_alone() -> bool {
    let Ok(table) = std::fs::read_to_string("/proc/self/net/dev") else { return false };
    table.lines().skip(2).all(|line| line.trim_start().starts_with("lo:"))
}

fn limit() -> Result<(), Errno> {
    // A batch holds one descriptor per order, and a conversation four files with their pipes.
    let limits = [(Resource::Core, 0), (Resource::Nofile, 96), (Resource::Nproc, 0), (Resource::Memlock, 0)];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Gives up every right but the one to ask for leases on files of other owners.
fn drop_rights() -> Result<(), Errno> {
    let has = rustix::thread::capabilities(None)?;
    if has.effective.contains(CapabilitySet::SETPCAP) {
        for right in CapabilitySet::all().difference(CapabilitySet::LEASE).iter() {
            match rustix::thread::remove_capability_from_bounding_set(right) {
                // A right that this kernel does not know.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let kept = has.permitted.intersection(CapabilitySet::LEASE);
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: none };
    rustix::thread::set_capabilities(None, sets)
}
