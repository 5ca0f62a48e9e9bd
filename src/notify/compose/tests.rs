//! notify: what compose does.
