//! store: tests of the whole room through what its users call.

mod bounds;
mod coarse;
mod damage;
mod mend;
mod model;
mod schema;
mod summary;
