//! notify: the channels, one file each: how a message is written for its receivers, and what they
//! answer.

pub mod alertmanager;
pub mod apprise;
pub mod discord;
pub mod exec;
pub mod gotify;
pub mod healthchecks;
pub mod mail;
pub mod matrix;
pub mod mattermost;
pub mod ntfy;
pub mod opsgenie;
pub mod pagerduty;
pub mod pushover;
pub mod rocketchat;
pub mod slack;
pub mod teams;
pub mod telegram;
pub mod webhook;
