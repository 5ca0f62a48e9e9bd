//! cli: one file a verb.

pub mod check_config;
pub mod install;
pub mod service;
pub mod uninstall;
