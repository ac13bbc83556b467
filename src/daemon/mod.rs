//! The daemon around the node.

pub mod config;
