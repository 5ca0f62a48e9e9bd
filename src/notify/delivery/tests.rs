//! notify: what delivery does.
