//! A mover on a model of a disk: small scenarios, explored to the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deaths;
mod failures;
mod meddling;
mod model;
mod room;
mod scene;
