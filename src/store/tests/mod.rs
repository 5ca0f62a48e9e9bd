//! store: tests of the whole room through what its users call.

mod bounds;
mod model;
