//! notify: what desk does.
